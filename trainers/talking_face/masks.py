"""The masks: which part of an aligned face is generated.

LatentSync's (cheeks, mouth, jaw) is large on purpose: with a small one the model reads the lips off
the cheeks. Eyes and the bridge of the nose stay. It is drawn from its geometry, so any size has
sharp edges. The evaluation reads every system's mouths inside of it, so that their numbers compare.

Shape suffixes: N pictures, B clips, C channels, F frames, H height, W width.
Source: measures of LatentSync's mask (anchor study, section 4.1); the curve of the jaw is our fit
to them, off by 1.3 of 256 columns on average.
"""

import hashlib

import numpy as np
import torch
from torch import Tensor

UNIT = 256
"""The measures below are those of a face of 256 x 256."""
CHEEK_TOP, JAW_TOP, JAW_END = 95, 128, 243
"""Rows: cheek strips from the first to the second, then all of the width to the third."""
CHEEKS = ((9, 78), (178, 247))
"""Columns of the two strips; between them the nose is kept."""
JAW_CENTRE, JAW_HALF_WIDTH = 128.5, 119.5
JAW_POWERS = (2.41, 1.866)
"""Half width of the jaw at depth d (0 at its top, 1 at its end): (1 - d ** p) ** (1 / q)."""


def keep_mask(size_px: int) -> Tensor:
    """Return the mask of a face, (1, 1, H, W) float32: 1 = keep, 0 = generate.

    Args:
        size_px: height and width of the face.
    """
    places = (torch.arange(size_px) + 0.5) * (UNIT / size_px)
    rows, columns = places[:, None], places[None, :]
    cheek_rows = (rows >= CHEEK_TOP) & (rows < JAW_TOP)
    in_strip = torch.stack([(columns >= first) & (columns < end) for first, end in CHEEKS]).any(0)
    in_jaw = (columns - JAW_CENTRE).abs() < JAW_HALF_WIDTH * _jaw(rows)
    repainted = (cheek_rows & in_strip) | in_jaw
    return (~repainted).float()[None, None]


def lower_half_mask(size_px: int) -> Tensor:
    """Return the mask of those who generate the lower half, as `keep_mask`."""
    rows = torch.arange(size_px)[:, None].expand(size_px, size_px)
    return (rows < size_px // 2).float()[None, None]


def mask_sha256(size_px: int) -> str:
    """Return the digest of `keep_mask(size_px)`: another one makes other latents."""
    keep = keep_mask(size_px).to(torch.uint8).numpy()
    return hashlib.sha256(np.ascontiguousarray(keep).data).hexdigest()


def composited(made_BCFHW: Tensor, original_BCFHW: Tensor, keep_11HW: Tensor) -> Tensor:
    """Return the made faces inside the mask's hole and the original ones, bit for bit, outside."""
    return torch.where(keep_11HW[:, :, None].bool(), original_BCFHW, made_BCFHW)


def _jaw(rows: Tensor) -> Tensor:
    """Return the jaw's half width as a share of its largest, 0 above and below it."""
    depth = (rows - JAW_TOP) / (JAW_END - JAW_TOP)
    power, root = JAW_POWERS
    share = (1 - depth.clamp(0, 1) ** power) ** (1 / root)
    return torch.where((depth >= 0) & (depth < 1), share, torch.zeros_like(share))
