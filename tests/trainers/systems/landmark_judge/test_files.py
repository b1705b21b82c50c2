from pathlib import Path

import pytest
import torch

from pipeline.errors import WeightsError
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.networks import OnnxNetworks
from pipeline.judge.landmark.weights import load_arrays, load_metadata
from tests.pipeline.judge.talking import talking
from trainers.systems.landmark_judge.files import load_networks, save_networks
from trainers.systems.landmark_judge.network import LandmarkSyncNet, NetworkConfig, TorchNetworks

SMALL = NetworkConfig(width=16, size=8)


def test_weights_survive_being_written_and_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    members = [LandmarkSyncNet(SMALL) for _ in range(2)]
    path = tmp_path / "w.safetensors"
    save_networks(path, members, {"seed": 7})
    before = LandmarkJudge(TorchNetworks(members)).score(*talking(30))
    read = (TorchNetworks(load_networks(path)), OnnxNetworks(load_arrays(path)))
    for after in (LandmarkJudge(networks).score(*talking(30)) for networks in read):
        assert after.curve == pytest.approx(before.curve, abs=2e-3)
    assert load_metadata(path)["seed"] == 7


def test_weights_without_a_calibration_are_not_for_the_judge(tmp_path: Path) -> None:
    save_networks(tmp_path / "w.safetensors", [LandmarkSyncNet(SMALL)], {"seed": 7})
    with pytest.raises(WeightsError, match="no calibration"):
        LandmarkJudge.load(tmp_path / "w.safetensors")


def test_weights_of_another_size_are_no_networks(tmp_path: Path) -> None:
    save_networks(tmp_path / "w.safetensors", [LandmarkSyncNet(SMALL)], {"config": {"depth": 3}})
    with pytest.raises(WeightsError, match="not weights of the landmark judge"):
        load_networks(tmp_path / "w.safetensors")
