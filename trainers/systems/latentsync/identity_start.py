"""Initialization of a new U-Net such that it first returns its noisy input.

LatentSync never starts from nothing, so this is ours. The plain start (zero first and last
convolution) has to find the way from input to output before it learns anything else, and what it
says at high noise is amplified 14 times in the picture. Here the noisy latents pass the outermost
skip connection, and two channels per latent make up for the curve behind it:
silu(x) - silu(-x) = x. So the first prediction is the input itself, in units of its deviation, and
the first one-step estimate is grey instead of noise.

A network that predicts clean latents has no use for that, and one with more latents than its first
block can carry twice cannot: they begin with a usual first convolution, and the zero of the last
one says 0.
"""

from typing import Any

import torch
from diffusers.models.unets.unet_motion_model import UNetMotionModel
from torch import Tensor, nn

from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.parametrization import Prediction


def initialize_new(unet: LatentSyncUNet, prediction: Prediction) -> None:
    """Set the first and last weights of a U-Net that starts from nothing."""
    fits = 2 * unet.config.latent_channels <= unet.config.widths[0]
    if prediction == "epsilon" and fits:
        initialize_as_identity(unet)
    else:
        unet.net.conv_in.reset_parameters()


@torch.no_grad()
def initialize_as_identity(unet: LatentSyncUNet) -> None:
    """Set the weights on the identity path; all others stay random.

    Raises:
        ValueError: twice the latents' channels do not fit into the first block.
    """
    net, channels = unet.net, unet.config.latent_channels
    passed = 2 * channels  # they carry the noisy latents: as they are, and negative
    if passed > net.conv_in.out_channels:
        raise ValueError(f"{channels} latent channels, at most {net.conv_in.out_channels // 2}")
    net.conv_in.reset_parameters()
    signs = torch.cat([torch.eye(channels), -torch.eye(channels)])
    both_signs = torch.zeros(passed, net.conv_in.in_channels)
    both_signs[:, unet.config.noisy] = signs
    _set(net.conv_in, slice(0, passed), both_signs)
    _pass_last_block(net, passed)
    net.conv_out.weight[:, :passed] = _at_centre(net.conv_out.weight[:, :passed], signs.T)


def _pass_last_block(net: UNetMotionModel, passed: int) -> None:
    """Zero the last layers and pass the skip connection through."""
    blocks: Any = net.up_blocks
    block = blocks[-1]
    resnet = block.resnets[-1]
    for layer in (resnet.conv2, block.attentions[-1].proj_out):
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    shortcut = resnet.conv_shortcut
    skipped = shortcut.in_channels - net.conv_in.out_channels  # the skip comes behind the rest
    through = torch.zeros(passed, shortcut.in_channels)
    through[:, skipped : skipped + passed] = torch.eye(passed)
    _set(shortcut, slice(0, passed), through)


def _set(layer: nn.Conv2d, outputs: slice, weight_OI: Tensor) -> None:
    layer.weight[outputs] = _at_centre(layer.weight[outputs], weight_OI)
    assert layer.bias is not None
    layer.bias[outputs] = 0


def _at_centre(like_OIHW: Tensor, weight_OI: Tensor) -> Tensor:
    """Return a kernel that is `weight_OI` in its middle and 0 around."""
    kernel = torch.zeros_like(like_OIHW)
    kernel[..., kernel.shape[2] // 2, kernel.shape[3] // 2] = weight_OI
    return kernel
