"""Checkpoints go in and out in the published layout; a wrong file is told apart by name."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import StorageError, WeightsError
from tests.conftest import ROOT
from trainers.systems.stable_syncnet import files
from trainers.systems.stable_syncnet.configs import CONFIGS, PUBLISHED
from trainers.systems.stable_syncnet.network import StableSyncNet

TINY = CONFIGS["tiny"]


@pytest.fixture(scope="module")
def network() -> StableSyncNet:
    torch.manual_seed(1)
    return StableSyncNet(TINY)


def same_weights(one: StableSyncNet, other: StableSyncNet) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return list(first) == list(second) and all(torch.equal(first[k], second[k]) for k in first)


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_a_checkpoint_comes_back_as_it_was_ready_to_train(
    network: StableSyncNet, tmp_path: Path
) -> None:
    files.save_checkpoint(tmp_path / "net.pt", network)
    loaded = files.load_checkpoint(tmp_path / "net.pt", TINY)
    assert same_weights(network, loaded)
    assert loaded.training
    assert all(one.requires_grad and one.is_leaf for one in loaded.parameters())


def test_the_saved_file_has_the_published_layout(network: StableSyncNet, tmp_path: Path) -> None:
    files.save_checkpoint(tmp_path / "net.pt", network)
    content = torch.load(tmp_path / "net.pt", weights_only=True)
    assert list(content) == ["state_dict"]
    assert list(content["state_dict"]) == list(network.state_dict())


def test_flat_nested_prefixed_and_half_precision_files_give_the_same_network(
    network: StableSyncNet, tmp_path: Path
) -> None:
    state = network.state_dict()
    prefixed = {f"module.{key}": tensor for key, tensor in state.items()}
    for content in (state, {"global_step": 7, "state_dict": state}, {"state_dict": prefixed}):
        path = saved(tmp_path / "net.pt", content)
        assert same_weights(network, files.load_checkpoint(path, TINY))
    half = {key: tensor.half() for key, tensor in state.items()}
    loaded = files.load_checkpoint(saved(tmp_path / "net.pt", half), TINY)
    assert {one.dtype for one in loaded.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_configuration_is_recognised_by_its_keys(name: str, tmp_path: Path) -> None:
    golden = ROOT / "tests" / "golden" / f"g2_{name}_keys.json"
    keys = json.loads(golden.read_text())["keys"]
    zero = torch.zeros(1)  # one number, read again for every weight: 1.6 GB need not exist
    state = {key: zero.expand(shape) for key, shape in keys}
    assert files.published_config(state, tmp_path) == PUBLISHED[name]


def test_a_missing_a_strange_and_a_misshapen_key_are_named(
    network: StableSyncNet, tmp_path: Path
) -> None:
    state = network.state_dict()
    bias = state.pop("audio_encoder.conv_in.bias")
    state["audio_encoder.conv_in.bais"] = bias
    state["visual_encoder.norm_out.bias"] = torch.zeros(7)
    path = saved(tmp_path / "net.pt", {"state_dict": state})
    with pytest.raises(WeightsError) as caught:
        files.load_checkpoint(path, TINY)
    message = str(caught.value)
    assert str(path) in message
    assert "audio_encoder.conv_in.bias is missing" in message
    assert "audio_encoder.conv_in.bais is not the network's" in message
    assert "visual_encoder.norm_out.bias has shape (7,), needed (256,)" in message


def test_a_file_of_no_published_configuration_asks_for_its_name(
    network: StableSyncNet, tmp_path: Path
) -> None:
    files.save_checkpoint(tmp_path / "net.pt", network)
    with pytest.raises(WeightsError, match=r"fit none of syncnet_16_pixel_attn, .*name the conf"):
        files.load_checkpoint(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no 'state_dict'"),
        ({}, "holds no 'state_dict'"),
        ({"state_dict": 3}, "holds no 'state_dict'"),
        ({"epoch": 3}, "'epoch' is int, not a tensor"),
        ({"state_dict": {"a": 1.0}}, "'a' is float, not a tensor"),
        ({"state_dict": {}, "path": Path("x")}, "could run code"),
    ],
)
def test_a_checkpoint_without_weights_is_refused(
    content: Any, message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "net.pt", content)
    with pytest.raises(WeightsError, match=message) as caught:
        files.load_checkpoint(path)
    assert str(path) in str(caught.value)


def test_an_absent_or_cut_file_is_refused(network: StableSyncNet, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with pytest.raises(WeightsError, match=r"net.pt: cannot be read: No such file"):
        files.load_checkpoint(path)
    files.save_checkpoint(path, network)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"net.pt: cannot be read as a PyTorch checkpoint"):
        files.load_checkpoint(path)


def test_safetensors_carry_their_configuration(network: StableSyncNet, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    files.save_safetensors(path, network, {"seed": 3})
    loaded = files.load_safetensors(path)
    assert loaded.config == TINY
    assert same_weights(network, loaded)
    assert files.read_metadata(path)["seed"] == 3


def test_training_what_was_loaded_leaves_the_file_alone(
    network: StableSyncNet, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    files.save_safetensors(path, network)
    before = path.read_bytes()
    with torch.no_grad():
        for one in files.load_safetensors(path).parameters():
            one.add_(1)
    assert path.read_bytes() == before


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "net.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="not a safetensors file of this project"):
        files.load_safetensors(path)
    save_file({"a": torch.zeros(1)}, path, {"lipforge": '{"model": "unet"}'})
    with pytest.raises(WeightsError, match="holds 'unet', not 'stable_syncnet'"):
        files.load_safetensors(path)
    save_file({"a": torch.zeros(1)}, path, {"lipforge": '{"model": "stable_syncnet"}'})
    with pytest.raises(WeightsError, match="configuration is unusable: 'num_frames'"):
        files.load_safetensors(path)


def test_the_same_weights_give_the_same_bytes_under_any_name(
    network: StableSyncNet, tmp_path: Path
) -> None:
    for save in (files.save_checkpoint, files.save_safetensors):
        save(tmp_path / "one", network)
        save(tmp_path / "folder" / "two", network)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "folder" / "two").read_bytes()


def test_a_save_that_fails_says_so_and_leaves_nothing(
    network: StableSyncNet, tmp_path: Path
) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    for save in (files.save_checkpoint, files.save_safetensors):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))  # like a full disk
        try:
            with pytest.raises(StorageError, match="net: cannot be written"):
                save(tmp_path / "net", network)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert not list(tmp_path.iterdir())
