"""Initialization of a new U-Net such that it first returns its noisy input.

LatentSync never starts from nothing, so this is ours. The plain start (zero first and last
convolution) has to find the way from input to output before it learns anything else, and what it
says at high noise is amplified 14 times in the picture. Here the noisy latents pass the outermost
skip connection, and two channels per latent make up for the curve behind it:
silu(x) - silu(-x) = x. So the first prediction is the input itself, in units of its deviation, and
the first one-step estimate is grey instead of noise.
"""

from typing import Any

import torch
from diffusers.models.unets.unet_motion_model import UNetMotionModel
from torch import Tensor, nn

from trainers.systems.latentsync.configs import NOISY, OUTPUT_CHANNELS
from trainers.systems.latentsync.network import LatentSyncUNet

PASSED = 2 * OUTPUT_CHANNELS
"""Channels that carry the noisy latents: four as they are, four negative."""


@torch.no_grad()
def initialize_as_identity(unet: LatentSyncUNet) -> None:
    """Set the weights on the identity path; all others stay random."""
    net = unet.net
    net.conv_in.reset_parameters()
    _set(net.conv_in, slice(0, PASSED), _both_signs(net.conv_in.in_channels))
    _pass_last_block(net)
    net.conv_out.weight[:, :PASSED] = _at_centre(net.conv_out.weight[:, :PASSED], _signs().T)


def _pass_last_block(net: UNetMotionModel) -> None:
    """Zero the last layers and pass the skip connection through."""
    blocks: Any = net.up_blocks
    block = blocks[-1]
    resnet = block.resnets[-1]
    for layer in (resnet.conv2, block.attentions[-1].proj_out):
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    shortcut = resnet.conv_shortcut
    skipped = shortcut.in_channels - net.conv_in.out_channels  # the skip comes behind the rest
    through = torch.zeros(PASSED, shortcut.in_channels)
    through[:, skipped : skipped + PASSED] = torch.eye(PASSED)
    _set(shortcut, slice(0, PASSED), through)


def _set(layer: nn.Conv2d, outputs: slice, weight_OI: Tensor) -> None:
    layer.weight[outputs] = _at_centre(layer.weight[outputs], weight_OI)
    assert layer.bias is not None
    layer.bias[outputs] = 0


def _at_centre(like_OIHW: Tensor, weight_OI: Tensor) -> Tensor:
    """Return a kernel that is `weight_OI` in its middle and 0 around."""
    kernel = torch.zeros_like(like_OIHW)
    kernel[..., kernel.shape[2] // 2, kernel.shape[3] // 2] = weight_OI
    return kernel


def _signs() -> Tensor:
    """Return (PASSED, 4): the latents, then the latents negative."""
    one = torch.eye(OUTPUT_CHANNELS)
    return torch.cat([one, -one])


def _both_signs(in_channels: int) -> Tensor:
    weight = torch.zeros(PASSED, in_channels)
    weight[:, NOISY] = _signs()
    return weight
