"""A cluster of several nodes: one is lost in the middle of a run, one comes in its place."""

import shutil
from collections.abc import Iterator
from random import Random

import pytest

from tests.chaos.led_nodes import LedNodes
from tests.chaos.rehearsal import Rehearsal
from tests.chaos.seeds import seeds
from tests.chaos.verdict import harmed
from tests.conftest import ROOT

pytestmark = pytest.mark.chaos


@pytest.fixture
def nodes() -> Iterator[LedNodes]:
    found = LedNodes(2)
    yield found
    found.close()


@pytest.mark.fault("a whole node is killed at a random moment, another one is added")
@pytest.mark.parametrize("seed", seeds(3))
def test_a_lost_node_takes_nothing_with_it(undisturbed, nodes, ends_right, tmp_path, seed):
    rehearsal = Rehearsal(tmp_path / "home", tmp_path / "diary")
    for package in ("pipeline", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, rehearsal.home / package, ignore=ignore)
    rehearsal.variables = {
        "LIPFORGE_RAY_ADDRESS": nodes.address,
        "LIPFORGE_CACHE": str(rehearsal.home / ".cache/items"),
        "PYTHONPATH": str(rehearsal.home),
    }
    run = rehearsal.start()
    rehearsal.wait_for(4 + Random(seed).randrange(undisturbed.lines // 2), run)
    nodes.do("kill")
    nodes.do("add")
    ended = run.end()
    assert ended.code == 0, ended.said
    assert harmed(rehearsal, undisturbed) == []
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=1)
