"""Two processes with gloo against one."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT
from tests.trainers.data.made_shards import write_shards
from tests.trainers.loop.toy_tasks import HELD_OUT, SOURCE, made, same, with_
from tests.trainers.processes import rank_run
from trainers.loop.fit import fit


def run_two(module, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    ranks = [subprocess.Popen(command, cwd=ROOT, env={**env, "RANK": str(rank)}) for rank in (0, 1)]
    assert [process.wait(timeout=120) for process in ranks] == [0, 0]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    run_two("tests.trainers.processes.rank_run", folder)
    results = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    return folder, results


@pytest.mark.parametrize("name", rank_run.RUNS)
def test_two_processes_give_the_weights_and_the_metrics_of_one(two, tmp_path, name):
    one = rank_run.run(name, tmp_path)
    tolerance = 1e-3 if name == "fp16" else 1e-6  # 6 items are rounded otherwise than 12
    for rank in two[1]:
        for key, expected in one["weights"].items():
            torch.testing.assert_close(rank[name]["weights"][key], expected, rtol=0, atol=tolerance)
        assert rank[name]["metrics"] == pytest.approx(one["metrics"], rel=10 * tolerance)
    assert two[1][0][name]["metrics"] == two[1][1][name]["metrics"]


def test_ranks_have_the_same_statistics_of_batch_norm_and_a_resumed_run_those_of_a_whole_one(two):
    one, other = (rank["batch norm"] for rank in two[1])
    for run in (one["parts"], other["whole"], other["parts"]):
        assert run["metrics"] == one["whole"]["metrics"]
        assert same(run["weights"], one["whole"]["weights"])


def test_a_nan_on_one_rank_stops_both_and_names_the_item(two):
    assert two[1][0]["nan"] == two[1][1]["nan"]
    assert "items: step2-item5." in two[1][0]["nan"]


def test_a_signal_to_one_rank_stops_both_and_one_process_goes_on(two, tmp_path):
    folder, results = two
    assert [rank["stop"] for rank in results] == [143, 143]
    whole, resumed = made(), made()
    fit(whole, SOURCE, with_(), tmp_path, HELD_OUT)
    assert (folder / "stop" / "step-00000004.pt").exists()
    outcome = fit(resumed, SOURCE, with_(), folder / "stop", HELD_OUT)
    assert outcome.step == 8
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_work_of_the_first_rank_is_done_when_the_others_go_on_and_its_error_is_everybodys(two):
    for rank in two[1]:
        assert rank["by_first"] == [0, "of rank 0"]


def test_no_rank_returns_from_a_training_before_the_model_is_saved(tmp_path):
    shards = write_shards(tmp_path / "data", [[34, 36], [40]])
    run_two("tests.trainers.processes.saving_run", shards, tmp_path)
    for rank in (0, 1):
        seen = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert seen["ldm"] == ["latentsync_unet.pt", "model.json", "unet.safetensors"]
        assert seen["syncnet"] == ["stable_syncnet.pt", "stable_syncnet.safetensors"]
