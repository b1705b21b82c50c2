"""One training function in this process, in torchrun's and in Ray Train's workers."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
import torch

from pipeline.errors import NonFiniteLossError, ParamsError
from tests.conftest import ROOT
from tests.trainers.processes.rank_run import train
from trainers.loop.checkpoints import latest_state
from trainers.processes.launch import launch

NAMES = ("RANK", "WORLD_SIZE", "LIPFORGE_RAY_ADDRESS", "LIPFORGE_TRAIN_PROCESSES")


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def config(folder, **more):
    return {"folder": str(folder), **more}


def test_one_process_needs_no_ray(tmp_path):
    command = (
        "import sys, pathlib; from tests.trainers.processes.rank_run import train;"
        "from trainers.processes.launch import launch; folder = pathlib.Path(sys.argv[1]);"
        "assert launch(train, {'folder': str(folder)}, folder)['size'] == 1;"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", command, str(tmp_path)], cwd=ROOT, check=True)


@pytest.mark.parametrize("text", ["0", "two", "-1"])
def test_a_wrong_number_of_processes_is_the_users_error(tmp_path, monkeypatch, text):
    monkeypatch.setenv("LIPFORGE_TRAIN_PROCESSES", text)
    with pytest.raises(ParamsError, match="LIPFORGE_TRAIN_PROCESSES"):
        launch(train, config(tmp_path), tmp_path)


def test_a_cluster_needs_a_folder_that_all_see(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPFORGE_RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.delenv("LIPFORGE_TRAINING", raising=False)
    with pytest.raises(ParamsError, match="LIPFORGE_TRAINING"):
        launch(train, config(tmp_path), tmp_path)


needs_ray_train = pytest.mark.skipif(
    find_spec("pandas") is None, reason="ray.train needs the extra ray[train]"
)


@needs_ray_train
@pytest.mark.slow
def test_a_killed_rank_costs_a_restart_and_changes_no_weight(tmp_path, monkeypatch, ray_cluster):
    monkeypatch.setenv("LIPFORGE_TRAIN_PROCESSES", "2")
    two = launch(train, config(tmp_path / "two", dies=True), tmp_path / "two")
    assert (tmp_path / "two" / "died").exists()
    assert two["size"] == 2
    monkeypatch.delenv("LIPFORGE_TRAIN_PROCESSES")
    one = launch(train, config(tmp_path / "one"), tmp_path / "one")
    for name, values in one["weights"].items():
        torch.testing.assert_close(
            torch.tensor(two["weights"][name]), torch.tensor(values), rtol=0, atol=1e-6
        )


@needs_ray_train
@pytest.mark.slow
def test_an_error_of_ours_comes_back_as_itself_and_is_not_tried_four_times(
    tmp_path, monkeypatch, ray_cluster
):
    monkeypatch.setenv("LIPFORGE_TRAIN_PROCESSES", "2")
    with pytest.raises(NonFiniteLossError, match="step2-item5"):
        launch(train, config(tmp_path, nan=True), tmp_path)


STOPPED = """
import pathlib, sys
from pipeline.engine.command import run_main
from tests.trainers.processes.rank_run import train
from trainers.processes.launch import launch
folder = pathlib.Path(sys.argv[1])
config = {"folder": str(folder), "steps": 10**7}
run_main(lambda: launch(train, config, folder), takes_arguments=True)
"""


@needs_ray_train
@pytest.mark.slow
def test_a_signal_to_the_driver_lets_the_workers_save(tmp_path):
    env = {**os.environ, "LIPFORGE_TRAIN_PROCESSES": "2"}
    command = [sys.executable, "-c", STOPPED, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=env) as driver:
        while not list(tmp_path.glob("step-*.pt")):
            assert driver.poll() is None
            time.sleep(0.2)
        driver.send_signal(signal.SIGTERM)
    assert driver.returncode == 143
    assert latest_state(tmp_path)["step"] > 2
