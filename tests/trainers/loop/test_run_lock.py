"""One run per folder."""

import json
import signal
import subprocess
import sys

import pytest

from pipeline.errors import CheckpointError
from tests.conftest import ROOT
from tests.trainers.loop.toy_tasks import HELD_OUT, PARAMS, SOURCE, made
from trainers.loop import run_lock
from trainers.loop.fit import fit
from trainers.processes.world import World

HOLDS = """
import pathlib, sys, time
from trainers.processes.world import World
from trainers.loop.run_lock import run_folder_lock
with run_folder_lock(pathlib.Path(sys.argv[1]), World()):
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that trains in `tmp_path`."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        yield process
        process.kill()


def test_a_second_run_in_a_folder_stops_and_names_the_first_one(other, tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "WAIT_S", 0.1)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match=f"{tmp_path}: process {other.pid} on .* is training"):
        fit(made(), SOURCE, PARAMS, tmp_path, HELD_OUT)
    assert sorted(tmp_path.iterdir()) == before


def test_a_killed_run_leaves_its_folder_free(other, tmp_path):
    other.send_signal(signal.SIGKILL)
    assert other.wait() == -signal.SIGKILL
    assert json.loads((tmp_path / "running.json").read_text())["pid"] == other.pid
    assert fit(made(), SOURCE, PARAMS, tmp_path, HELD_OUT).step == PARAMS.max_steps
    assert not (tmp_path / "running.json").exists()


def test_a_refusal_of_the_first_rank_stops_every_rank(tmp_path, monkeypatch):
    monkeypatch.setattr(World, "gathered", lambda world, told: ["folder: taken", ""])
    with (
        pytest.raises(CheckpointError, match="folder: taken"),
        run_lock.run_folder_lock(tmp_path, World(rank=1, size=2)),
    ):
        pass
