"""The U-Net goes out and in under the published names; a wrong file is told by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import StorageError, WeightsError
from tests.trainers.systems.latentsync.golden_network import (
    golden_json,
    golden_output,
    golden_shapes,
    public_rule_state,
    rule_inputs,
    rule_network,
)
from trainers.systems.latentsync import files
from trainers.systems.latentsync.configs import STAGES, TINY, UNetConfig
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.published_keys import own_name, public_names

KEY = "mid_block.resnets.0.norm1.weight"
MOTION_KEY = (
    "up_blocks.2.motion_modules.1.temporal_transformer.transformer_blocks.0.attention_blocks.1."
)


@pytest.fixture(scope="module")
def network() -> LatentSyncUNet:
    return rule_network()


@pytest.fixture(scope="module")
def content(network: LatentSyncUNet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("unet") / "unet.pt"
    files.save_checkpoint(path, network, step=1200)
    return dict(torch.load(path, weights_only=True))


def same_weights(one: LatentSyncUNet, other: LatentSyncUNet) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return list(first) == list(second) and all(torch.equal(first[k], second[k]) for k in first)


def saved(path: Path, state: dict[str, Tensor], **more: Any) -> Path:
    torch.save({**more, "state_dict": state}, path)
    return path


def published_shapes(config: UNetConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = LatentSyncUNet(config).state_dict()
    return {name: tuple(t.shape) for key, t in state.items() for name in public_names(key)}


def test_names_and_shapes_of_stage_2_are_the_published_ones() -> None:
    assert published_shapes(STAGES["stage2"].unet) == golden_shapes("stage2")
    assert published_shapes(TINY) == golden_shapes("small")


@pytest.mark.parametrize(
    ("stage", "without"), [("stage1", ".motion_modules."), ("stage2_efficient", "down_blocks.")]
)
def test_names_of_the_other_stages_lack_motion_layers_only(stage: str, without: str) -> None:
    full, found = golden_shapes("stage2"), published_shapes(STAGES[stage].unet)
    missing = [key for key in full if key not in found]
    assert found.items() <= full.items()
    assert all(without in key and ".motion_modules." in key for key in missing)
    assert len(missing) == golden_json("unet_results")[f"{stage}_missing_vs_stage2"]["n"]


def test_every_published_name_comes_back_from_ours() -> None:
    for key in golden_shapes("stage2"):
        assert key in public_names(own_name(key))


def test_the_saved_file_has_the_published_layout(content: dict[str, Any]) -> None:
    assert list(content) == ["global_step", "state_dict"]
    assert content["global_step"] == 1200
    shapes = {key: tuple(tensor.shape) for key, tensor in content["state_dict"].items()}
    assert shapes == golden_shapes("small")
    assert {tensor.dtype for tensor in content["state_dict"].values()} == {torch.float32}
    for key, tensor in public_rule_state().items():
        assert torch.equal(content["state_dict"][key], tensor), key


def test_position_tables_are_the_published_ones(content: dict[str, Any]) -> None:
    known = golden_json("unet_results")["pe"]
    key = golden_json("unet_results")["stage2_buffers"][0]
    for name in (key, key.replace("attention_blocks.0", "attention_blocks.1")):
        table_1FC = content["state_dict"][name]
        assert list(table_1FC.shape) == known["shape"]
        assert table_1FC[0, 1, :6].tolist() == pytest.approx(known["row1_first6"], abs=1e-6)
        assert table_1FC[0, 23, :4].tolist() == pytest.approx(known["row23_first4"], abs=1e-5)


def test_a_checkpoint_comes_back_as_it_was_ready_to_train(
    network: LatentSyncUNet, tmp_path: Path
) -> None:
    files.save_checkpoint(tmp_path / "unet.pt", network)
    loaded = files.load_checkpoint(tmp_path / "unet.pt")
    assert loaded.config == network.config
    assert same_weights(network, loaded)
    assert loaded.training
    assert all(one.requires_grad and one.is_leaf for one in loaded.parameters())
    latents, audio = rule_inputs(8)
    with torch.no_grad():
        answer = loaded(latents, 500, audio)
    assert (answer - golden_output("f8_t500")).abs().max() < 1e-4


def test_the_same_weights_give_the_same_bytes_in_any_memory_format(
    network: LatentSyncUNet, tmp_path: Path
) -> None:
    files.save_checkpoint(tmp_path / "a.pt", network)
    other = rule_network().to(memory_format=torch.channels_last)
    files.save_checkpoint(tmp_path / "b.pt", other)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


@pytest.mark.parametrize("motion", ["none", "decoder", "all"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_sizes_are_read_from_the_file(motion: Any, suffix: str, tmp_path: Path) -> None:
    config = UNetConfig(widths=(32, 32, 64, 64), audio_width=96, motion=motion, max_frames=20)
    network = LatentSyncUNet(config)
    path = tmp_path / f"unet.{suffix}"
    if suffix == "pt":
        files.save_checkpoint(path, network)
    else:
        files.save_safetensors(path, network)
    loaded = files.load_checkpoint(path)
    assert loaded.config == (config if motion != "none" else UNetConfig(**_no_frames(config)))
    assert same_weights(network, loaded)


def _no_frames(config: UNetConfig) -> dict[str, Any]:
    """Without motion layers there is no table that tells `max_frames`, and no use for it."""
    return {k: getattr(config, k) for k in ("widths", "audio_width", "motion")}


def test_our_own_file_keeps_configuration_and_metadata(
    network: LatentSyncUNet, tmp_path: Path
) -> None:
    path = tmp_path / "unet.safetensors"
    files.save_safetensors(path, network, {"steps": 7})
    loaded = files.load_safetensors(path)
    assert loaded.config == TINY
    assert same_weights(network, loaded)
    assert files.read_metadata(path)["steps"] == 7
    assert set(load_file(path)) == set(golden_shapes("small"))


def test_half_precision_and_ddp_prefixes_are_read(content: dict[str, Any], tmp_path: Path) -> None:
    state = content["state_dict"]
    half = {key: tensor.half() for key, tensor in state.items()}
    loaded = files.load_checkpoint(saved(tmp_path / "half.pt", half))
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    prefixed = {f"module.{key}": tensor for key, tensor in state.items()}
    again = files.load_checkpoint(saved(tmp_path / "ddp.pt", prefixed))
    assert same_weights(again, rule_network())


def test_a_longer_position_table_is_built_around_the_same_weights(
    content: dict[str, Any], tmp_path: Path
) -> None:
    path = saved(tmp_path / "unet.pt", content["state_dict"])
    longer = UNetConfig(widths=TINY.widths, max_frames=32)
    latents, audio = rule_inputs(16)
    with torch.no_grad():
        answer = files.load_checkpoint(path, longer)(latents, 500, audio)
    assert (answer - golden_output("f16_t500")).abs().max() < 1e-4


def _without_key(state: dict[str, Tensor]) -> None:
    del state[KEY]


def _other_shape(state: dict[str, Tensor]) -> None:
    state[KEY] = state[KEY][:3]


def _more(state: dict[str, Tensor]) -> None:
    state["extra.weight"] = torch.zeros(1)


def _other_positions(state: dict[str, Tensor]) -> None:
    key = f"{MOTION_KEY}pos_encoder.pe"
    state[key] = state[key] + 0.1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_key, f"net.{KEY} is missing"),
        (_other_shape, rf"net.{KEY} has shape \(3,\), needed \(64,\)"),
        (_more, "net.extra.weight is not the network's"),
        (_other_positions, "up_blocks.2.motion_modules.1.*has other positions"),
    ],
)
def test_what_does_not_fit_is_named(
    content: dict[str, Any],
    spoil: Callable[[dict[str, Tensor]], None],
    message: str,
    tmp_path: Path,
) -> None:
    state = dict(content["state_dict"])
    spoil(state)
    with pytest.raises(WeightsError, match=message):
        files.load_checkpoint(saved(tmp_path / "unet.pt", state))


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not the weights of LatentSync's U-Net"):
        files.load_checkpoint(saved(tmp_path / "unet.pt", {"conv.weight": torch.zeros(3)}))
    whole = (tmp_path / "unet.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"cut\.pt"):
        files.load_checkpoint(tmp_path / "cut.pt")
    with pytest.raises(WeightsError, match=r"absent\.pt"):
        files.load_checkpoint(tmp_path / "absent.pt")


def test_a_foreign_safetensors_file_is_refused(network: LatentSyncUNet, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="not a safetensors file of this project"):
        files.load_safetensors(path)
    header = {"lipforge": json.dumps({"model": "stable_syncnet"})}
    save_file({"a": torch.zeros(1)}, path, metadata=header)
    with pytest.raises(WeightsError, match="holds 'stable_syncnet'"):
        files.load_safetensors(path)


def test_a_path_that_cannot_be_written_is_named(network: LatentSyncUNet, tmp_path: Path) -> None:
    (tmp_path / "unet.pt").mkdir()
    with pytest.raises(StorageError, match=r"unet\.pt"):
        files.save_checkpoint(tmp_path / "unet.pt", network)
