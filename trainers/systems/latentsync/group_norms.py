"""The frames over which LatentSync's group norms take their statistics.

diffusers' `UNetMotionModel` computes what LatentSync computes but for 65 group norms, which pool
the other way round:

    norms                                    LatentSync       UNetMotionModel
    44 in residual blocks, 1 before the end  whole clip       each frame
    20 at the entrance of motion layers      each frame       whole clip

The first row couples the frames of a clip even where the network has no motion layers. The group
norms inside `attentions` pool each frame in both.

Shape suffixes: B clips, F frames of a clip, N = B F frames, C channels, H height, W width.
Source: golden file G5, measured on LatentSync a229c39 (`use_inflated_groupnorm` is off there).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionModel
from torch import Tensor, nn


class ClipLength(threading.local):
    """Frames per clip of the pass that runs, for layers that see only N frames in a row.

    One object belongs to one network; copying the network copies it too. Every thread has a length
    of its own, so that several may use a network at a time.
    """

    def __init__(self) -> None:
        self.frames = 1

    def __reduce__(self) -> tuple[type["ClipLength"], tuple[()]]:
        """Copy and pickle it without a length, which only a pass has."""
        return ClipLength, ()

    @contextmanager
    def of(self, frames: int) -> Iterator[None]:
        """Say the length for the time of the block."""
        before, self.frames = self.frames, frames
        try:
            yield
        finally:
            self.frames = before


class ClipNorm(nn.GroupNorm):
    """Group norm of (N, C, H, W) with one mean and deviation for all frames of a clip."""

    def __init__(self, norm: nn.GroupNorm, length: ClipLength) -> None:
        _share_parameters(self, norm)
        self.length = length

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the same shape, normalised over (C in group, F, H, W)."""
        x_BFCHW = x_NCHW.reshape(-1, self.length.frames, *x_NCHW.shape[1:])
        return super().forward(x_BFCHW.transpose(1, 2)).transpose(1, 2).flatten(0, 1)


class FrameNorm(nn.GroupNorm):
    """Group norm of (B, C, F, H, W) with a mean and deviation of its own for every frame."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        _share_parameters(self, norm)

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """Return the same shape, normalised over (C in group, H, W)."""
        x_BFCHW = x_BCFHW.transpose(1, 2)
        out_NCHW = super().forward(x_BFCHW.flatten(0, 1))
        return out_NCHW.reshape(x_BFCHW.shape).transpose(1, 2)


def use_latentsync_norms(model: UNetMotionModel, length: ClipLength) -> None:
    """Replace the 65 norms (fewer without all motion layers). Parameters and names stay."""
    for module in model.modules():
        if isinstance(module, ResnetBlock2D):
            module.norm1 = ClipNorm(module.norm1, length)
            module.norm2 = ClipNorm(module.norm2, length)
        elif isinstance(module, AnimateDiffTransformer3D):
            module.norm = FrameNorm(module.norm)
    model.conv_norm_out = ClipNorm(model.conv_norm_out, length)


def _share_parameters(new: nn.GroupNorm, old: nn.GroupNorm) -> None:
    """Construct `new` with the parameter objects of `old`."""
    nn.GroupNorm.__init__(new, old.num_groups, old.num_channels, old.eps, device="meta")
    new.weight, new.bias = old.weight, old.bias
