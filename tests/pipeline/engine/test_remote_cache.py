"""The item cache on a real S3 endpoint: healthy, failing, damaged, and with several users."""

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import remote
from pipeline.digest import digest
from pipeline.engine import bulk_lookup, remembering
from pipeline.engine.cache import open_cache
from pipeline.engine.command import run_stage
from pipeline.engine.remote_cache import ATTEMPTS, RemoteCache
from pipeline.engine.runner import SerialRunner
from pipeline.errors import DamagedCacheError, StorageError, UnreadableError
from pipeline.local_copies import LocalCopies
from tests.doubles import Halve
from tests.object_store import BUCKET, Fault, FaultyProxy, Store
from tests.worker_copy import arrived

KEY = "ab" + "0" * 62
FILES = {"a.mp4": "picture" * 9000, "a.flac": "sound", "a.npz": "points"}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat at once: what is tested is how often."""
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.001)


@pytest.fixture
def prefix() -> str:
    return uuid.uuid4().hex[:8]


@pytest.fixture
def cache(proxy: FaultyProxy, prefix: str, tmp_path: Path) -> RemoteCache:
    return RemoteCache(f"s3://{BUCKET}/{prefix}", LocalCopies(tmp_path / "scratch", 10**9))


def commit(cache: RemoteCache, key: str = KEY, **stored: object) -> None:
    with cache.workdir() as folder:
        for name, text in FILES.items():
            (folder / name).write_text(text)
        outcome = {"stage": "faces", "status": "kept", "parts": [], **stored}
        cache.commit(key, outcome, folder)


def keys(count: int) -> list[str]:
    return sorted(digest(number) for number in range(count))


def test_an_item_is_found_and_its_files_come_back_with_few_requests(cache, proxy):
    commit(cache)
    assert proxy.counts() == {"PUT": 4}
    assert cache.lookup(KEY)["status"] == "kept"
    assert proxy.counts() == {"PUT": 4, "GET": 2}  # a listing and meta.json
    assert cache.artifact_path(KEY, "a.mp4").read_text() == FILES["a.mp4"]
    assert proxy.counts() == {"PUT": 4, "GET": 4}  # meta.json and the file
    cache.artifact_path(KEY, "a.mp4")
    assert proxy.counts() == {"PUT": 4, "GET": 4}


def test_meta_is_the_last_to_be_uploaded(cache, proxy):
    commit(cache)
    names = [path.rsplit("/", 1)[1] for method, path in proxy.asked if method == "PUT"]
    assert {name.partition("?")[0] for name in names[:3]} == set(FILES)
    assert names[3].startswith("meta.json")


@pytest.mark.parametrize("kind", ["busy", "cut", "lost", "silent"])
def test_faults_that_pass_are_waited_out_by_every_operation(cache, proxy, kind):
    proxy.faults = [Fault(kind, times=3, method="PUT", path="a.mp4")] if kind != "cut" else []
    commit(cache)
    proxy.faults = [
        Fault(kind, times=2, path="list-type=2"),
        Fault(kind, times=2, method="GET", path="meta.json"),
        Fault(kind, times=2, method="GET", path="a.mp4"),
        Fault(kind, times=2, method="DELETE"),
    ]
    assert cache.lookup(KEY)["status"] == "kept"
    assert cache.artifact_path(KEY, "a.mp4").read_text() == FILES["a.mp4"]
    cache.forget(KEY)
    assert [fault.times for fault in proxy.faults[:3]] == [0, 0, 0]
    assert cache.lookup(KEY) is None


def test_a_store_that_stays_away_is_asked_so_often_and_no_more(cache, proxy):
    proxy.faults = [Fault("busy")]
    with pytest.raises(StorageError, match=f"HTTP 503; it was asked {ATTEMPTS} times"):
        cache.lookup(KEY)
    assert len(proxy.asked) == ATTEMPTS


def test_a_file_that_cannot_be_fetched_is_a_fault_of_the_moment(cache, proxy):
    commit(cache)
    proxy.faults = [Fault("cut", method="GET", path="a.mp4")]
    with pytest.raises(UnreadableError):
        cache.artifact_path(KEY, "a.mp4")
    proxy.faults = []
    assert cache.artifact_path(KEY, "a.mp4").read_text() == FILES["a.mp4"]


def test_an_upload_that_fails_leaves_no_entry_and_says_what_to_do(cache, proxy):
    proxy.faults = [Fault("busy", method="PUT", path="meta.json")]
    with pytest.raises(StorageError, match="wait until it answers and run again"):
        commit(cache)
    proxy.faults = []
    assert cache.lookup(KEY) is None
    commit(cache)
    assert cache.lookup(KEY) is not None


def test_a_bucket_that_is_not_there_is_no_empty_cache(proxy, tmp_path):
    with pytest.raises(StorageError, match="make the bucket, or correct LIPFORGE_CACHE"):
        RemoteCache("s3://no-such-bucket/x").lookup(KEY)


@pytest.mark.parametrize("how", ["gone", "cut", "meta altered", "meta gone"])
def test_a_damaged_entry_is_a_miss_and_can_be_made_again(cache, store, prefix, how):
    commit(cache)
    place = f"{prefix}/ab/{KEY}"
    meta = store.get(f"{place}/meta.json")
    if how == "gone":
        store.delete(f"{place}/a.flac")
    elif how == "cut":
        store.put(f"{place}/a.flac", b"sou")
    elif how == "meta altered":
        store.put(f"{place}/meta.json", meta.replace(b"kept", b"kepz"))
    else:
        store.delete(f"{place}/meta.json")
    assert cache.lookup(KEY) is None
    commit(cache)
    assert cache.lookup(KEY)["status"] == "kept"


def test_bits_that_flipped_in_the_store_are_not_given_out(cache, store, prefix):
    commit(cache)
    store.put(f"{prefix}/ab/{KEY}/a.flac", b"sOund")
    with pytest.raises(DamagedCacheError):
        cache.artifact_path(KEY, "a.flac")
    assert cache.stage_of(KEY) == "faces"
    cache.forget(KEY)
    commit(cache)
    assert cache.artifact_path(KEY, "a.flac").read_text() == "sound"


def test_two_writers_of_one_key_end_in_one_valid_entry(cache, prefix, tmp_path):
    others = [RemoteCache(cache.url) for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda one: commit(one[1], made=one[0]), enumerate(others)))
    assert list(cache.keys()) == [KEY]
    assert cache.lookup(KEY)["made"] in range(4)
    for name, text in FILES.items():
        assert cache.artifact_path(KEY, name).read_text() == text


def fill(store: Store, prefix: str, wanted: list[str], files: int = 0) -> None:
    for key in wanted:
        names = {f"{number:04}": {"bytes": 1, "sha256": digest(1)} for number in range(files)}
        content = {"stage": "halve", "status": "kept", "parts": [], "files": names}
        store.put(f"{prefix}/{key[:2]}/{key}/meta.json", sealed(content))
        for name in names:
            store.put(f"{prefix}/{key[:2]}/{key}/{name}", b"1")


def sealed(content: dict[str, object]) -> bytes:
    return json.dumps({**content, "sha256": digest(content)}).encode()


def test_many_items_are_found_by_a_listing_for_each_prefix_and_packs(
    cache, store, proxy, prefix, monkeypatch
):
    monkeypatch.setattr(bulk_lookup, "PACKED_FROM", 50)
    wanted = keys(60)
    fill(store, prefix, wanted)
    prefixes = len({key[:2] for key in wanted})
    assert set(cache.lookup_many("halve", [*wanted, KEY])) == set(wanted)
    first = proxy.counts()["GET"]
    assert set(cache.lookup_many("halve", wanted)) == set(wanted)
    assert proxy.counts()["GET"] - first == 2 * prefixes  # a listing and a pack each


def test_a_pack_is_believed_only_for_the_very_object_that_is_there(
    cache, store, prefix, monkeypatch
):
    monkeypatch.setattr(bulk_lookup, "PACKED_FROM", 2)
    gone, changed, damaged, same = wanted = keys(4)
    fill(store, prefix, wanted)
    cache.lookup_many("halve", wanted)
    store.delete(f"{prefix}/{gone[:2]}/{gone}/meta.json")
    content = {"stage": "halve", "status": "rejected", "parts": [], "files": {}}
    store.put(f"{prefix}/{changed[:2]}/{changed}/meta.json", sealed(content))
    pack = f"{prefix}/packs/halve/{damaged[:2]}.jsonl"
    store.put(pack, store.get(pack).replace(b"kept", b"kepz"))
    found = cache.lookup_many("halve", wanted)
    assert {key: one["status"] for key, one in found.items()} == {
        changed: "rejected",
        damaged: "kept",
        same: "kept",
    }


def test_an_entry_over_several_pages_of_a_listing_is_found_whole(cache, store, prefix, monkeypatch):
    monkeypatch.setattr(bulk_lookup, "PAGE", 7)
    first, second, third = ("ab" + digest(number)[2:] for number in range(3))
    fill(store, prefix, [first, second, third], files=16)
    assert set(cache.lookup_many("halve", [first, second, third])) == {first, second, third}
    store.delete(f"{prefix}/ab/{second}/0015")
    assert set(cache.lookup_many("halve", [first, second, third])) == {first, third}


def test_a_stage_with_nothing_to_do_asks_twice_per_prefix_not_per_item(
    cache, proxy, monkeypatch, workspace
):
    monkeypatch.setattr(bulk_lookup, "PACKED_FROM", 20)
    items = list(range(0, 80, 2))
    computed = run_stage(Halve(), items, SerialRunner(), cache)
    before = len(proxy.asked)
    again = run_stage(Halve(), items, SerialRunner(), cache)
    assert [one.parts for one in again] == [one.parts for one in computed]
    assert all(one.cached for one in again)
    assert len(proxy.asked) - before == 2 * len({one.key[:2] for one in again})


def test_an_item_whose_object_was_deleted_is_made_again_by_the_same_run(
    cache, store, prefix, workspace
):
    items = [0, 2, 4]
    first = run_stage(Halve(), items, SerialRunner(), cache)
    for name in store.names(f"{prefix}/{first[1].key[:2]}/{first[1].key}/"):
        store.delete(name)
    second = run_stage(Halve(), items, SerialRunner(), cache)
    assert [one.cached for one in second] == [True, False, True]
    assert [one.parts for one in second] == [one.parts for one in first]


def test_the_cache_goes_to_another_process_as_its_address(cache):
    commit(cache)
    assert arrived(cache).lookup(KEY)["status"] == "kept"


def test_a_missing_client_is_one_line_with_the_command(tmp_path):
    code = (
        "import sys; sys.modules['s3fs'] = sys.modules['aiobotocore'] = None\n"
        "from pipeline.engine.command import run_main\n"
        "from pipeline.engine.cache import open_cache\n"
        "run_main(lambda: open_cache('s3://bucket/x').lookup('ab'))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "pip install 'lipforge[s3]'" in ended.stderr


def test_the_place_of_local_copies_is_a_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("LIPFORGE_SCRATCH", str(tmp_path))
    opened = open_cache("s3://bucket/x")
    assert opened.place(KEY, "a.flac").is_relative_to(tmp_path / "copies")


def test_a_run_that_is_stopped_has_packed_what_it_had_finished(
    cache, proxy, store, prefix, monkeypatch, workspace
):
    monkeypatch.setattr(bulk_lookup, "PACKED_FROM", 4)
    monkeypatch.setattr(remembering, "FIRST", 4)

    class Stopped(Halve):
        def process(self, item, workdir):
            if item == 20:
                raise StorageError("stopped")
            return super().process(item, workdir)

    with pytest.raises(StorageError, match="stopped"):
        run_stage(Stopped(), range(0, 40, 2), SerialRunner(), cache)
    assert store.names(f"{prefix}/packs/halve/")


def test_a_pack_that_cannot_be_written_stops_no_run(cache, proxy, monkeypatch, workspace, capsys):
    monkeypatch.setattr(bulk_lookup, "PACKED_FROM", 4)
    proxy.faults = [Fault("busy", method="PUT", path="/packs/")]
    outcomes = run_stage(Halve(), range(0, 16, 2), SerialRunner(), cache)
    assert {one.status for one in outcomes} == {"kept"}
    assert "the next look-up will be slow" in capsys.readouterr().err
