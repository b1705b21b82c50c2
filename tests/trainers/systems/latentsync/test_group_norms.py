"""Each fact about pooling, taken back alone, spoils the answer by the recorded amount."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from tests.trainers.systems.latentsync.golden_network import (
    golden_json,
    golden_output,
    rule_inputs,
    rule_network,
)
from tests.worker_copy import arrived
from trainers.systems.latentsync.configs import Motion, UNetConfig
from trainers.systems.latentsync.group_norms import ClipNorm, FrameNorm
from trainers.systems.latentsync.network import LatentSyncUNet

MAPPING = golden_json("motionmodel_mapping")
OUTPUTS = {"f16_t500": (16, 1, 16, [500]), "b2_f16_8x8_t100_700": (16, 2, 8, [100, 700])}

Which = Callable[[str, nn.Module], bool]
TAKEN_BACK: dict[str, Which] = {
    "A_stock_UNetMotionModel": lambda name, module: True,
    "B_resnet_norms_only": lambda name, module: ".resnets." not in name,
    "C_resnet+out": lambda name, module: isinstance(module, FrameNorm),
    "D_motion_only": lambda name, module: isinstance(module, ClipNorm),
}
"""Case of the golden file -> which of the 65 norms are diffusers' own again."""


def take_back(network: LatentSyncUNet, which: Which) -> None:
    for name, module in network.named_modules():
        if isinstance(module, ClipNorm | FrameNorm) and which(name, module):
            module.__class__ = nn.GroupNorm


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("case", TAKEN_BACK)
@torch.no_grad()
def test_other_pooling_gives_the_recorded_error(case: str, output: str) -> None:
    frames, clips, edge, timesteps = OUTPUTS[output]
    latents, audio = rule_inputs(frames, clips, edge)
    network = rule_network()
    take_back(network, TAKEN_BACK[case])
    wrong = (network(latents, torch.tensor(timesteps), audio) - golden_output(output)).abs()
    assert wrong.max().item() == pytest.approx(MAPPING[case][output]["max_abs"], abs=5e-4)


@torch.no_grad()
def test_the_last_norm_alone_matters() -> None:
    latents, audio = rule_inputs(8)
    network = rule_network()
    take_back(network, lambda name, module: name.endswith("conv_norm_out"))
    wrong = (network(latents, 500, audio) - golden_output("f8_t500")).abs().max()
    assert wrong > 0.1


@pytest.mark.parametrize(("motion", "motion_norms"), [("all", 20), ("decoder", 12), ("none", 0)])
def test_65_norms_are_exchanged_with_all_motion_layers(motion: Motion, motion_norms: int) -> None:
    with torch.device("meta"):
        modules = list(LatentSyncUNet(UNetConfig(motion=motion)).modules())
    assert sum(isinstance(module, ClipNorm) for module in modules) == 45
    assert sum(isinstance(module, FrameNorm) for module in modules) == motion_norms


def test_clip_norm_pools_all_frames_of_one_clip_and_no_other() -> None:
    network = rule_network("none")
    norm = ClipNorm(nn.GroupNorm(2, 4), network.length)
    x_NCHW = torch.randn(6, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    with network.length.of(3):
        out_NCHW = norm(x_NCHW)
    groups = out_NCHW.reshape(2, 3, 2, 2, 5, 5)  # clip, frame, group, channel
    assert groups.mean(dim=(1, 3, 4, 5)).abs().max() < 1e-5
    assert groups.mean(dim=(3, 4, 5)).abs().max() > 1e-2
    assert (groups.var(dim=(1, 3, 4, 5), unbiased=False) - 1).abs().max() < 1e-3


def test_frame_norm_pools_every_frame_for_itself() -> None:
    norm = FrameNorm(nn.GroupNorm(2, 4))
    x_BCFHW = torch.randn(2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    groups = norm(x_BCFHW).reshape(2, 2, 2, 3, 5, 5)  # clip, group, channel, frame
    assert groups.mean(dim=(2, 4, 5)).abs().max() < 1e-5


def test_the_length_is_as_before_after_a_pass_that_failed() -> None:
    network = rule_network("none")
    with pytest.raises(KeyError), network.length.of(7):
        raise KeyError
    assert network.length.frames == 1


def test_a_pass_in_another_thread_does_not_change_the_length_of_this_one() -> None:
    length = rule_network("none").length

    def other_pass() -> None:
        with length.of(5):
            pass

    with length.of(3), ThreadPoolExecutor(1) as thread:
        ended_between = length.of(7)
        thread.submit(ended_between.__enter__).result()
        assert length.frames == 3
        thread.submit(other_pass).result()
        thread.submit(ended_between.__exit__, None, None, None).result()
        assert length.frames == 3


def test_a_copy_of_a_network_has_one_length_of_its_own() -> None:
    network = rule_network("none")
    twin = copy.deepcopy(network)
    norms = [module for module in twin.modules() if isinstance(module, ClipNorm)]
    assert twin.length is not network.length
    assert all(norm.length is twin.length for norm in norms)
    assert arrived(network.length).frames == 1
