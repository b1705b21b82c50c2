"""A cluster of several nodes: one is lost in the middle of a run, one comes in its place."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from random import Random

import pytest

from tests.chaos.rehearsal import Rehearsal, environment
from tests.chaos.seeds import seeds
from tests.chaos.verdict import harmed
from tests.conftest import ROOT

pytestmark = pytest.mark.chaos


class Nodes:
    """The cluster, in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nodes"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        lines = iter(self.process.stdout.readline, "")
        self.address = next(one.strip() for one in lines if re.fullmatch(r"[\d.]+:\d+\n", one))

    def do(self, word: str) -> None:
        """Kill or add a node, and wait until that is done."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        while self.process.stdout.readline() not in ("done\n", ""):
            pass

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    found = Nodes()
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
