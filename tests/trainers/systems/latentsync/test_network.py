"""The U-Net gives the reference's answers and gradients, whatever saves memory or is left out."""

from copy import deepcopy

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from tests.trainers.systems.latentsync.golden_network import (
    golden_json,
    golden_output,
    rule_inputs,
    rule_network,
)
from trainers.systems.latentsync.configs import STAGES, TINY, UNetConfig
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.published_keys import own_name

RESULTS = golden_json("unet_results")
TOLERANCE = 1e-4
CASES = {
    "f16_t500": (16, 1, 16, [500]),
    "f8_t500": (8, 1, 16, [500]),
    "f8_t0": (8, 1, 16, [0]),
    "f8_t999": (8, 1, 16, [999]),
    "b2_f16_8x8_t100_700": (16, 2, 8, [100, 700]),
}


@pytest.fixture(scope="module")
def network() -> LatentSyncUNet:
    return rule_network()


@pytest.fixture(scope="module")
def image_network() -> LatentSyncUNet:
    return rule_network("none")


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


def loss_of(network: LatentSyncUNet, frames: int = 8) -> Tensor:
    latents, audio = rule_inputs(frames)
    answer: Tensor = network(latents, 500, audio)
    return answer.square().mean()


def gradients(network: LatentSyncUNet) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_output_is_the_references(network: LatentSyncUNet, case: str) -> None:
    frames, clips, edge, timesteps = CASES[case]
    latents, audio = rule_inputs(frames, clips, edge)
    answer = network(latents, torch.tensor(timesteps), audio)
    assert difference(answer, golden_output(case)) < TOLERANCE


@torch.no_grad()
def test_a_longer_position_table_changes_nothing() -> None:
    latents, audio = rule_inputs(8)
    answer = rule_network(max_frames=32)(latents, 500, audio)
    assert difference(answer, golden_output("f8_t500")) < TOLERANCE


@torch.no_grad()
def test_without_sound_the_audio_layers_are_left_out(network: LatentSyncUNet) -> None:
    latents, audio = rule_inputs(8)
    assert difference(network(latents, 500, None), golden_output("f8_t500_noaudio")) < TOLERANCE
    assert difference(network(latents, 500, 0 * audio), golden_output("f8_t500_noaudio")) > 0.3


@torch.no_grad()
def test_the_image_network_is_the_references_stage_1(image_network: LatentSyncUNet) -> None:
    latents, audio = rule_inputs(8)
    assert difference(image_network(latents, 500, audio), golden_output("stage1_f8_t500")) < 1e-4


@torch.no_grad()
def test_every_frame_hears_its_own_tokens(network: LatentSyncUNet) -> None:
    latents, audio = rule_inputs(16)
    silent = audio.clone()
    silent[:, 3] = 0
    change = (network(latents, 500, silent) - golden_output("f16_t500")).abs()
    known = RESULTS["probe_zero_audio_frame3_maxabs_change_per_frame"]
    assert change.amax(dim=(0, 1, 3, 4)).tolist() == pytest.approx(known, abs=TOLERANCE)
    assert known[3] == max(known)


def test_loss_and_gradients_are_the_references(network: LatentSyncUNet) -> None:
    known = RESULTS["grad_f8_t500_loss_mean_sq"]
    latents, audio = rule_inputs(8)
    latents.requires_grad_()
    loss = network(latents, 500, audio).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(known["loss"], rel=1e-5)
    assert latents.grad is not None
    assert latents.grad.norm().item() == pytest.approx(known["x_grad_norm"], rel=1e-4)
    found = gradients(network)
    for key, norm in known["gnorm"].items():
        assert found[own_name(key)].norm().item() == pytest.approx(norm, rel=1e-4), key


def test_gradient_checkpointing_changes_no_bit_and_keeps_a_twentieth_of_the_memory(
    network: LatentSyncUNet,
) -> None:
    saving = deepcopy(network)
    saving.checkpoint_gradients()
    saving.checkpoint_gradients()
    losses, found, kept = [], [], []
    for one in (network, saving):
        size = 0

        def keep(tensor: Tensor) -> Tensor:
            nonlocal size
            size += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = loss_of(one)
        loss.backward()
        losses.append(loss.item())
        found.append(gradients(one))
        kept.append(size)
    assert losses[0] == losses[1]
    assert list(found[0]) == list(found[1])
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    assert kept[1] < kept[0] / 20
    assert list(saving.state_dict()) == list(network.state_dict())


def test_a_clip_of_another_length_may_pass_before_the_backward_pass(
    network: LatentSyncUNet,
) -> None:
    saving = deepcopy(network)
    saving.checkpoint_gradients()
    loss_of(network).backward()
    right = gradients(network)
    loss = loss_of(saving)
    with torch.no_grad():
        loss_of(saving, frames=4)
    loss.backward()
    found = gradients(saving)
    assert all(torch.equal(right[key], found[key]) for key in right)


@torch.no_grad()
def test_a_copy_has_weights_and_lengths_of_its_own(network: LatentSyncUNet) -> None:
    copy = deepcopy(network)
    copy.checkpoint_gradients()
    copy.length.frames = 5
    for parameter in copy.parameters():
        parameter.zero_()
    latents, audio = rule_inputs(8)
    assert copy(latents, 500, audio).abs().max() == 0
    assert network.length.frames == 1
    assert difference(network(latents, 500, audio), golden_output("f8_t500")) < TOLERANCE


@torch.no_grad()
def test_bfloat16_stays_near(network: LatentSyncUNet) -> None:
    latents, audio = rule_inputs(8)
    with torch.autocast("cpu", torch.bfloat16):
        answer = network(latents, 500, audio).float()
    assert (answer - golden_output("f8_t500")).square().mean().sqrt() < 0.05


def test_all_attention_is_scaled_dot_product(network: LatentSyncUNet) -> None:
    layers = [module for module in network.modules() if isinstance(module, Attention)]
    assert len(layers) == 72
    assert all(isinstance(layer.processor, AttnProcessor2_0) for layer in layers)


@torch.no_grad()
def test_a_new_network_says_zero_and_new_motion_layers_change_nothing(
    image_network: LatentSyncUNet,
) -> None:
    latents, audio = rule_inputs(8)
    new = LatentSyncUNet(TINY)
    assert new(latents, 500, audio).abs().max() == 0
    new.load_state_dict(image_network.state_dict(), strict=False)
    assert difference(new(latents, 500, audio), image_network(latents, 500, audio)) < 1e-5


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (20, 12)])
@torch.no_grad()
def test_256_and_512_and_other_sizes_go_through(
    network: LatentSyncUNet, shape: tuple[int, int]
) -> None:
    published = [stage for stage in STAGES.values() if stage.published_memory_gb]
    assert {stage.latent_size for stage in published} == {32, 64}
    answer = network(torch.randn(1, 13, 2, *shape), 500, torch.randn(1, 2, 50, 384))
    assert answer.shape == (1, 4, 2, *shape)
    assert answer.isfinite().all()


def test_wrong_shapes_are_named(network: LatentSyncUNet) -> None:
    latents, audio = rule_inputs(8)
    with pytest.raises(ValueError, match="13, F, H, W"):
        network(latents[:, :4], 500, audio)
    with pytest.raises(ValueError, match=r"not \(1, 8, T, 384\)"):
        network(latents, 500, audio[:, :7])
    with pytest.raises(ValueError, match="25 frames, but positions end at 24"):
        network(*rule_inputs(25)[:1], 500, None)


@torch.no_grad()
def test_without_motion_layers_a_clip_may_be_longer(image_network: LatentSyncUNet) -> None:
    latents, audio = rule_inputs(25, edge=8)
    assert image_network(latents, 500, audio).isfinite().all()


@pytest.mark.parametrize("name", ["stage1", "stage2", "stage2_efficient"])
def test_a_stage_trains_the_published_parameters(name: str) -> None:
    with torch.device("meta"):
        network = LatentSyncUNet(STAGES[name].unet)
    trained = network.train_only(STAGES[name].trained)
    elements = sum(p.numel() for p in network.parameters() if p.requires_grad)
    known = RESULTS.get(f"{name}_trainable")
    known = known or {"n_tensors": 686, "n_params": 849_962_244}  # stage 1: all there is
    assert (len(trained), elements) == (known["n_tensors"], known["n_params"])


def test_a_part_that_is_in_no_name_is_refused(network: LatentSyncUNet) -> None:
    with pytest.raises(ValueError, match=r"\['motion_layers.'\] are in no parameter's name"):
        deepcopy(network).train_only(["motion_layers."])


@pytest.mark.parametrize(
    "section", [{"widths": [32, 64, 64, 65]}, {"widths": [32]}, {"motion": "some"}, {"width": 1}]
)
def test_impossible_sizes_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"width|motion"):
        UNetConfig.from_section(section)


def test_a_configuration_survives_as_plain_values() -> None:
    for stage in STAGES.values():
        assert UNetConfig.from_section(stage.unet.section()) == stage.unet
