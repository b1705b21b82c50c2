"""The whole line on real clips: nodes that come by demand, one lost; the bytes of one machine."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.led_nodes import LedNodes
from tests.chaos.test_repro import LINE, bytes_of, entries
from tests.conftest import ROOT
from tests.test_line import Workspace

pytestmark = pytest.mark.chaos
NODES = 2
KILLED_AFTER = 0.2
"""Share of the entries of the item cache that are there when a node is killed."""
PATIENCE_S = 1800.0


@pytest.fixture
def nodes() -> Iterator[LedNodes]:
    """A head and no node: they come when workers wait for them."""
    found = LedNodes(0)
    yield found
    found.close()


@pytest.mark.fault("the real line on real clips: two nodes by demand, one killed, one in its place")
def test_a_cluster_whose_nodes_come_and_go_gives_the_bytes_of_one_machine(
    tmp_path: Path, shared: Path, nodes: LedNodes, record_property: Callable[..., None]
) -> None:
    for name in ("alone", "cluster"):
        (tmp_path / name).mkdir()
    alone = Workspace(tmp_path / "alone", shared / "clips", LIPFORGE_WORKERS="2")
    alone.run(*LINE)
    expected = len(entries(alone))
    cluster = Workspace(
        tmp_path / "cluster",
        shared / "clips",
        LIPFORGE_RAY_ADDRESS=nodes.address,
        LIPFORGE_CACHE=str(tmp_path / "cluster/.cache/items"),
    )
    shutil.copytree(ROOT / "trainers", cluster.folder / "trainers")  # shipped as in a clone
    nodes.do(f"scale {NODES}")
    with (tmp_path / "log").open("w") as log:
        run = cluster.begin(*LINE, log=log)
        until = time.monotonic() + PATIENCE_S
        while len(entries(cluster)) < KILLED_AFTER * expected and run.poll() is None:
            assert time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.2)
        before = entries(cluster)
        assert nodes.do("kill") == NODES
        assert run.wait(PATIENCE_S) == 0, (tmp_path / "log").read_text()
    assert nodes.do("started") == NODES + 1
    after = entries(cluster)
    repeated = sum(after.get(path) != written for path, written in before.items())
    lost = len({path.parent.name for path in entries(alone)} - {p.parent.name for p in after})
    equal = bytes_of(cluster) == bytes_of(alone)
    facts = {"lost": lost, "repeated": repeated, "in_flight": NODES, "equal": equal}
    record_property("verdict", facts)
    assert equal
    assert lost == 0
    assert repeated == 0
