"""Files of a run: whole or absent."""

import signal
import subprocess
import sys

import pytest
import torch

from pipeline.errors import CheckpointError
from tests.conftest import ROOT
from trainers.loop.checkpoints import latest_state, save_state, training_folder


def test_the_latest_of_two_is_read(tmp_path):
    for step in (2, 4, 6):
        save_state(tmp_path, step, {"w": torch.full((3,), float(step))})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000004.pt",
        "step-00000006.pt",
    ]
    assert latest_state(tmp_path)["w"].tolist() == [6, 6, 6]


KILLED_BEFORE_THE_RENAME = """
import os, pathlib, signal, sys, torch
from trainers.loop.checkpoints import save_state
folder = pathlib.Path(sys.argv[1])
save_state(folder, 1, {"w": torch.ones(1000)})
pathlib.Path.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
save_state(folder, 2, {"w": torch.zeros(1000)})
"""


def test_a_kill_between_write_and_rename_leaves_the_one_before(tmp_path):
    command = [sys.executable, "-c", KILLED_BEFORE_THE_RENAME, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert latest_state(tmp_path)["step"] == 1
    save_state(tmp_path, 2, {"w": torch.zeros(1)})
    assert latest_state(tmp_path)["step"] == 2


def test_a_file_that_was_cut_off_gives_way_to_the_one_before_and_is_named(tmp_path, caplog):
    for step in (1, 2):
        save_state(tmp_path, step, {"w": torch.ones(1000)})
    newest = tmp_path / "step-00000002.pt"
    newest.write_bytes(newest.read_bytes()[:-200])
    assert latest_state(tmp_path)["step"] == 1
    assert str(newest) in caplog.text


def test_a_bit_that_was_flipped_gives_way_to_the_checkpoint_before(tmp_path):
    for step in (1, 2):
        save_state(tmp_path, step, {"w": torch.full((100,), 7.0), "means": {"a": 1.0}})
    newest = tmp_path / "step-00000002.pt"
    whole = newest.read_bytes()
    for place in range(0, len(whole), 23):
        flipped = bytes([whole[place] ^ 1 << place % 8])
        newest.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        found = latest_state(tmp_path)
        assert found["w"].tolist() == [7.0] * 100
        assert found["means"] == {"a": 1.0}
    weights = whole.index(torch.full((100,), 7.0).numpy().tobytes())
    newest.write_bytes(whole[:weights] + b"\1" + whole[weights + 1 :])
    assert latest_state(tmp_path)["step"] == 1


def test_a_run_with_only_broken_checkpoints_does_not_start_over_by_itself(tmp_path):
    (tmp_path / "step-00000001.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="delete it to start anew"):
        latest_state(tmp_path)


def test_nothing_but_tensors_numbers_and_text_is_loaded(tmp_path):
    torch.save({"format": 1, "step": 1, "evil": ROOT}, tmp_path / "step-00000001.pt")
    with pytest.raises(CheckpointError):
        latest_state(tmp_path)


def test_a_run_has_a_folder_of_its_own_outside_of_the_outputs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    one = training_folder("train_syncnet", {"steps": 1, "data": "a"})
    assert one == training_folder("train_syncnet", {"data": "a", "steps": 1})
    assert one != training_folder("train_syncnet", {"steps": 1, "data": "b"})
    assert one.parent == tmp_path / ".cache" / "training" / "train_syncnet"
    monkeypatch.setenv("LIPFORGE_TRAINING", "/mnt/all")
    assert str(training_folder("s", {})).startswith("/mnt/all/s/")
