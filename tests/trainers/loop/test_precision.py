"""Frozen networks are cast once, and give the numbers that they gave under autocast before."""

import copy

import pytest
import torch
from torch import nn

from tests.trainers.loop.toy_tasks import Regression, made, with_
from trainers.frozen import registry
from trainers.loop.precision import cast_layers
from trainers.loop.state import new_state
from trainers.processes.world import World
from trainers.systems.latentsync.configs import UNetConfig
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.network import StableSyncNet


def pictures(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def syncnet():
    torch.manual_seed(0)
    return StableSyncNet(CONFIGS["tiny"]).requires_grad_(False).eval()


def vae():
    return registry.vae("stand-in:sd-vae-ft-mse").network


def unet():
    torch.manual_seed(0)
    config = UNetConfig(widths=(32, 32, 32, 32), audio_width=16)
    network = LatentSyncUNet(config).requires_grad_(False).eval()
    nn.init.normal_(network.net.conv_out.weight, std=0.1)  # zeros would hide the rest
    return network


NETWORKS = {
    "unet": (unet, lambda net: net(pictures(1, 13, 2, 8, 8), 7, pictures(1, 2, 5, 16))),
    "vae encoder": (vae, lambda net: net.encode(pictures(2, 3, 32, 32))),
    "vae decoder": (vae, lambda net: net.decode(pictures(2, 4, 4, 4))),
    "taesd": (
        lambda: registry.vae("stand-in:taesd").network,
        lambda net: net.decode(net.encode(pictures(2, 3, 32, 32))),
    ),
    "lpips": (
        lambda: registry.lpips("stand-in:lpips-vgg").network,
        lambda net: net(pictures(2, 3, 32, 32), pictures(2, 3, 32, 32).flip(0)),
    ),
    "videomae": (
        lambda: registry.videomae("stand-in:videomae-v2-giant").network,
        lambda net: net(pictures(1, 3, 16, 224, 224).abs()),
    ),
    "syncnet": (
        syncnet,
        lambda net: torch.cat(net(pictures(2, 48, 32, 64), pictures(2, 1, 80, 52))),
    ),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_frozen_network_cast_once_gives_the_same_bits_under_autocast(name, dtype):
    new, answer = NETWORKS[name]
    network = new()
    once = copy.deepcopy(network)
    cast_layers(once, dtype)
    assert dtype in {parameter.dtype for parameter in once.parameters()}
    with torch.autocast("cpu", dtype), torch.no_grad():
        expected, given = answer(network), answer(once)
    assert given.isfinite().all()
    assert torch.equal(given, expected)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_only_the_frozen_part_of_a_task_is_cast(precision, dtype):
    task = made(Regression)
    new_state(task, with_(precision=precision), World())
    assert {p.dtype for p in task.teacher.parameters()} == {dtype}
    assert {p.dtype for p in task.generator.parameters()} == {torch.float32}


def test_norms_keep_their_weights_whole():
    network = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Conv1d(2, 2, 1))
    cast_layers(network, torch.bfloat16)
    assert [part.weight.dtype for part in network] == [
        torch.bfloat16,
        torch.float32,
        torch.bfloat16,
    ]
