"""A stage starts from Stable Diffusion or from another stage, and says what it did not take."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import WeightsError
from tests.trainers.systems.latentsync.golden_network import (
    golden_shapes,
    rule_inputs,
    rule_network,
)
from trainers.systems.latentsync.configs import TINY, UNetConfig
from trainers.systems.latentsync.files import save_checkpoint
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.pretrained_start import (
    start_from_other_stage,
    start_from_stable_diffusion,
)

CONV_IN = ("net.conv_in.bias", "net.conv_in.weight")


def picture_unet(widths: tuple[int, ...] = TINY.widths, text_width: int = 768) -> Any:
    """Stable Diffusion 1.5's U-Net: diffusers' defaults, text of 768, 8 heads."""
    torch.manual_seed(5)
    return UNet2DConditionModel(
        block_out_channels=widths, cross_attention_dim=text_width, attention_head_dim=8
    ).eval()


def stored(unet: Any, path: Path) -> Path:
    save_file(unet.state_dict(), path)
    return path


def new_network(motion: Any = "none") -> LatentSyncUNet:
    torch.manual_seed(6)
    return LatentSyncUNet(UNetConfig(widths=TINY.widths, motion=motion))


def differing(network: LatentSyncUNet, before: dict[str, Tensor]) -> set[str]:
    now = network.state_dict()
    return {key for key in now if not torch.equal(now[key], before[key])}


def copied(network: LatentSyncUNet) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in network.state_dict().items()}


def test_stable_diffusions_names_are_those_of_stage_1() -> None:
    with torch.device("meta"):
        unet = picture_unet((320, 640, 1280, 1280))
    shapes = {key: tuple(tensor.shape) for key, tensor in unet.state_dict().items()}
    ours = {k: s for k, s in golden_shapes("stage2").items() if ".motion_modules." not in k}
    assert set(shapes) == set(ours)
    other = {key for key in shapes if shapes[key] != ours[key]}
    assert all("attn2.to_k" in key or "attn2.to_v" in key for key in other - {"conv_in.weight"})
    assert len(other) == 1 + 2 * 16


def test_from_stable_diffusion_all_is_taken_but_its_input_and_its_text(tmp_path: Path) -> None:
    unet, network = picture_unet(), new_network()
    before = copied(network)
    start = start_from_stable_diffusion(network, stored(unet, tmp_path / "sd.safetensors"))
    audio = {key for key in before if key.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))}
    assert set(start.fresh) == set(start.unused) == {*CONV_IN, *audio}
    now = network.state_dict()
    assert all(torch.equal(now[key], before[key]) for key in start.fresh)
    assert all(now[key].abs().max() == 0 for key in CONV_IN)
    for key, tensor in unet.state_dict().items():
        if f"net.{key}" not in start.fresh:
            assert torch.equal(now[f"net.{key}"], tensor), key


def test_with_the_noisy_input_kept_a_clip_of_one_frame_is_a_picture_of_stable_diffusion(
    tmp_path: Path,
) -> None:
    unet, network = picture_unet(text_width=384), new_network("all")
    path = stored(unet, tmp_path / "sd.safetensors")
    start = start_from_stable_diffusion(network, path, keep_noisy_input=True)
    assert all(".motion_modules." in key for key in start.fresh)
    latents, audio = rule_inputs(1)
    with torch.no_grad():
        known = unet(latents[:, TINY.noisy, 0], 500, audio[:, 0]).sample
        assert (network(latents, 500, audio)[:, :, 0] - known).abs().max() < 1e-4
    assert network.net.conv_in.weight[:, 4:].abs().max() == 0


def test_motion_layers_stay_new_when_starting_from_stable_diffusion(tmp_path: Path) -> None:
    network = new_network("decoder")
    before = copied(network)
    start = start_from_stable_diffusion(network, stored(picture_unet(), tmp_path / "a.safetensors"))
    assert sum(".motion_modules." in key for key in start.fresh) == 12 * 26
    assert not any(".motion_modules." in key for key in differing(network, before))


def test_another_stable_diffusion_is_refused_and_nothing_is_taken(tmp_path: Path) -> None:
    network = new_network()
    before = copied(network)
    narrow = stored(picture_unet((32, 64, 64, 96)), tmp_path / "narrow.safetensors")
    with pytest.raises(WeightsError, match=r"narrow\.safetensors: .*has shape"):
        start_from_stable_diffusion(network, narrow)
    whole = tmp_path / "v1-5.safetensors"
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, whole)
    with pytest.raises(WeightsError, match=r"unet/diffusion_pytorch_model\.safetensors"):
        start_from_stable_diffusion(network, whole)
    lacking = picture_unet().state_dict()
    del lacking["mid_block.resnets.0.norm1.weight"]
    save_file(lacking, tmp_path / "lacking.safetensors")
    with pytest.raises(WeightsError, match=r"mid_block\.resnets\.0\.norm1\.weight is missing"):
        start_from_stable_diffusion(network, tmp_path / "lacking.safetensors")
    assert not differing(network, before)


def test_a_kept_noisy_input_needs_four_channels(tmp_path: Path) -> None:
    path = tmp_path / "unet.pt"
    save_checkpoint(path, rule_network("none"))
    with pytest.raises(WeightsError, match=r"conv_in\.weight is not that of a U-Net with 4 input"):
        start_from_stable_diffusion(new_network(), path, keep_noisy_input=True)


def test_stage_2_starts_as_the_stage_1_it_comes_from(tmp_path: Path) -> None:
    image, network = rule_network("none"), new_network("all")
    save_checkpoint(tmp_path / "stage1.pt", image)
    start = start_from_other_stage(network, tmp_path / "stage1.pt")
    assert len(start.fresh) == 20 * 26
    assert not start.unused
    latents, audio = rule_inputs(8)
    with torch.no_grad():
        difference = network(latents, 500, audio) - image(latents, 500, audio)
    assert difference.abs().max() < 1e-5


def test_stage_2_efficient_leaves_the_encoders_motion_layers(tmp_path: Path) -> None:
    whole, network = rule_network(), new_network("decoder")
    save_checkpoint(tmp_path / "stage2.pt", whole)
    start = start_from_other_stage(network, tmp_path / "stage2.pt")
    assert not start.fresh
    assert all("net.down_blocks." in key and ".motion_modules." in key for key in start.unused)
    theirs = whole.state_dict()
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in network.state_dict().items())


def test_a_motion_layer_with_a_hole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stage2.pt"
    save_checkpoint(path, rule_network())
    content = torch.load(path, weights_only=True)
    key = "up_blocks.1.motion_modules.0.temporal_transformer.proj_in.weight"
    del content["state_dict"][key]
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"motion_modules\.0\.proj_in\.weight is missing"):
        start_from_other_stage(new_network("all"), path)


def test_a_start_keeps_the_parameters_an_optimizer_holds(tmp_path: Path) -> None:
    network = new_network("all")
    held = list(network.parameters())
    save_checkpoint(tmp_path / "stage1.pt", rule_network("none"))
    start_from_other_stage(network, tmp_path / "stage1.pt")
    assert all(one is other for one, other in zip(held, network.parameters(), strict=True))
