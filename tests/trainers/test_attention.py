"""Every attention layer is PyTorch's fused one: no network computes a softmax by itself."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainers.frozen import registry
from trainers.frozen.whisper_files import load_whisper
from trainers.systems.latentsync.configs import UNetConfig
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.network import StableSyncNet


class Operators(TorchDispatchMode):
    """Counts what is computed, below autograd."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names[function.__name__.split(".")[0]] += 1
        return function(*args, **(kwargs or {}))


def unet():
    net = LatentSyncUNet(UNetConfig(widths=(32, 32, 32, 32), audio_width=16))
    return lambda: net(torch.randn(1, 13, 2, 8, 8), 7, torch.randn(1, 2, 5, 16))


def vae():
    network = registry.vae("stand-in:sd-vae-ft-mse").network
    return lambda: network.decode(network.encode(torch.rand(1, 3, 32, 32)))


def videomae():
    network = registry.videomae("stand-in:videomae-v2-giant", gradient_checkpointing=False).network
    return lambda: network(torch.rand(1, 3, 16, 224, 224))


def whisper():
    network = load_whisper("stand-in:whisper-tiny")
    return lambda: network(torch.zeros(1, 80, 3000))


def syncnet():
    config = CONFIGS["small"]
    network = StableSyncNet(config)
    return lambda: network(torch.rand(1, *config.visual_shape), torch.rand(1, *config.mel_shape))


@pytest.mark.parametrize("new", [unet, vae, videomae, whisper, syncnet])
@torch.no_grad()
def test_attention_is_scaled_dot_product_attention_of_pytorch(new):
    run = new()
    with Operators() as seen:
        run()
    fused = [name for name in seen.names if name.startswith("_scaled_dot_product")]
    assert fused
    assert not seen.names["_softmax"]
