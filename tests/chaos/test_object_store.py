"""The item cache on an object store that answers 503, late, in part or not, or lost one."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.chaos.rehearsal import WORKERS, Rehearsal
from tests.chaos.seeds import seeds
from tests.chaos.verdict import Undisturbed, unaccounted
from tests.object_store import BUCKET, Fault, FaultyProxy, Store, environment

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    found = Store()
    yield found
    found.close()


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultyProxy]:
    with FaultyProxy(store.url) as found:
        yield found


@pytest.fixture
def prefix() -> str:
    """The cache's folder in the bucket: no copy of an earlier test's objects is on this machine."""
    return uuid.uuid4().hex


@pytest.fixture
def scratch() -> Iterator[str]:
    """A folder for fetched copies, of a name that is short enough for the sockets of Ray."""
    with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield name


@pytest.fixture
def on_s3(
    undisturbed: Undisturbed, proxy: FaultyProxy, prefix: str, scratch: str, tmp_path: Path
) -> Rehearsal:
    """A workspace of its own whose cache is a folder of the bucket."""
    rehearsal = Rehearsal(tmp_path / "home", tmp_path / "diary")
    rehearsal.variables = {
        **environment(proxy.url),
        "LIPFORGE_CACHE": f"s3://{BUCKET}/{prefix}",
        "TMPDIR": scratch,
        "CHAOS_DEADLINE_S": "60",  # over the 16 s of an upload: six attempts
    }
    return rehearsal


@pytest.fixture
def s3_ends_right(
    undisturbed: Undisturbed, store: Store, record_property: Callable[..., None], prefix: str
) -> Callable[..., None]:
    """Hold tables, tar and objects against an undisturbed run on a disk."""

    def check(rehearsal: Rehearsal, in_flight: int) -> None:
        lost = sum(len(unaccounted(rehearsal, undisturbed, one)) for one in undisturbed.tables)
        names = {name.partition("/")[2] for name in store.names(prefix)}
        equal = rehearsal.outputs() == undisturbed.outputs and {*undisturbed.entries} <= names
        repeated = len(rehearsal.repeated())
        facts = {"lost": lost, "repeated": repeated, "in_flight": in_flight, "equal": equal}
        record_property("verdict", facts)
        assert lost == 0
        assert equal
        assert repeated <= in_flight, rehearsal.repeated()

    return check


KINDS = {
    "busy": "an object store that answers 503 to every tenth request",
    "cut": "an object store that cuts every tenth answer",
    "lost": "an object store that does not answer every tenth upload, though it stored it",
    "late": "an object store that takes 2 s for every tenth request",
}


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        pytest.param(
            kind, seed, marks=[pytest.mark.fault(words), *([pytest.mark.quick] * (kind == "busy"))]
        )
        for kind, words in KINDS.items()
        for seed in range(1)
    ],
)
def test_a_store_with_faults_costs_time_only(on_s3, proxy, s3_ends_right, kind, seed):
    proxy.faults = [EveryTenth(kind, Random(seed), "PUT" if kind == "lost" else "")]
    ended = on_s3.run()
    proxy.faults = []
    rerun = on_s3.run()
    assert rerun.code == 0, rerun.said
    s3_ends_right(on_s3, in_flight=WORKERS)
    assert ended.code in (0, 1), ended.said
    assert "Traceback" not in ended.said, ended.said


class EveryTenth(Fault):
    """Happens to one request in ten, by a seed."""

    def __init__(self, kind: str, random: Random, method: str) -> None:
        super().__init__(kind, method=method, seconds=2.0 if kind == "late" else 0.0)
        self.random = random

    def takes(self, method: str, path: str) -> bool:
        return self.random.random() < 0.1 and super().takes(method, path)


@pytest.mark.fault("an object store that is away in the middle of a run")
@pytest.mark.parametrize("seed", seeds(1, quick=0))
def test_a_store_that_is_away_stops_the_run_in_one_line(on_s3, proxy, s3_ends_right, seed):
    run = on_s3.start()
    on_s3.wait_for(40 + 40 * seed, run)
    proxy.faults = [Fault("busy")]
    ended = run.end()
    proxy.faults = []
    assert on_s3.run().code == 0
    s3_ends_right(on_s3, in_flight=WORKERS)
    assert ended.code == 1, ended.said
    assert "Traceback" not in ended.said, ended.said


@pytest.mark.fault("objects of the item cache that are deleted, altered or cut")
@pytest.mark.parametrize("kind", ["deleted", "altered", "cut"])
def test_a_damaged_object_is_made_again(on_s3, store, s3_ends_right, prefix, kind):
    assert on_s3.run("draw").code == 0
    names = [one for one in store.names(prefix) if one.endswith("picture.bin")]
    name, content = names[len(names) // 2], store.get(names[len(names) // 2])
    if kind == "deleted":
        store.delete(name)
    else:
        altered = bytes([content[0] ^ 1]) + content[1:]
        store.put(name, altered if kind == "altered" else content[: len(content) // 2])
    assert on_s3.run().code == 0
    second = on_s3.run()
    assert second.code == 0, second.said
    s3_ends_right(on_s3, in_flight=2)
