"""Jitter of the aligned crop from frame to frame, so that its position says nothing of the mouth.

An alignment whose anchors move with the lips shifts the whole picture by fractions of a pixel, and
a network reads the mouth from that (geometry leak). Random shifts of the same size hide it.

Shape suffixes: B clips, C colours, F frames, H and W pixels.
Source: the leak is described in HighSync (2026); the jitter is ours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def jittered(
    video_BCFHW: Tensor, deviation_px: float, generators: Sequence[torch.Generator]
) -> Tensor:
    """Return every frame shifted by a draw from N(0, deviation_px) along x and y.

    Always float32, also under autocast: in 16 bits places of pixels are off by up to half a pixel.

    Args:
        video_BCFHW: -1 ... 1; what lies outside repeats the border.
        deviation_px: 0 returns the video itself, and draws nothing.
        generators: one per clip, on the CPU.
    """
    if not deviation_px:
        return video_BCFHW
    clips, _, frames, height, width = video_BCFHW.shape
    drawn = [torch.randn(frames, 2, generator=generator) for generator in generators]
    edge = torch.tensor([width, height])
    affine_N23 = torch.eye(2, 3).repeat(clips * frames, 1, 1)
    affine_N23[:, :, 2] = torch.cat(drawn) * deviation_px * 2 / edge
    with torch.autocast(video_BCFHW.device.type, enabled=False):
        moved_NCHW = _moved(video_BCFHW.float().transpose(1, 2).flatten(0, 1), affine_N23)
    shape = (clips, frames, *moved_NCHW.shape[1:])
    moved_BFCHW: Tensor = moved_NCHW.clamp(-1, 1).reshape(shape)
    return moved_BFCHW.transpose(1, 2)


def _moved(frames_NCHW: Tensor, affine_N23: Tensor) -> Tensor:
    grid = functional.affine_grid(
        affine_N23.to(frames_NCHW), list(frames_NCHW.shape), align_corners=False
    )
    return functional.grid_sample(
        frames_NCHW, grid, mode="bicubic", padding_mode="border", align_corners=False
    )
