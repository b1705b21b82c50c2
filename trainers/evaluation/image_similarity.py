"""SSIM and PSNR of dubbed and real frames, by torchmetrics.

Pixels outside the repaint mask are copied from the original, which raises both for whole frames; so
they are also given for the lower half, which contains the mouth.

Shape suffixes: T frames, C colours, H and W pixels.
Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity"
(2004): Gaussian window of 11 pixels, sigma 1.5, per colour, mean of all.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

Pixels = NDArray[np.uint8]

BATCH_FRAMES = 16
"""Frames per batch: SSIM holds five images of each."""
MAX_PSNR_DB = 10 * math.log10(255**2 * 12)
"""Of a mean square error of 1/12 levels^2, that of rounding to bytes: the upper limit."""
BORDER_PX = 5
"""Half of SSIM's window: closer to the edge, the window extends outside the image."""


def image_similarity(real_TCHW: Pixels, made_TCHW: Pixels) -> dict[str, float]:
    """Return `ssim`, `psnr_db`, `ssim_lower_half` and `psnr_lower_half_db`, means over the frames.

    The PSNR of a frame is at most 58.9 dB, also if it equals the original.

    Raises:
        ValueError: shapes differ, no frame, or fewer than 11 rows.
    """
    if real_TCHW.shape != made_TCHW.shape or not len(real_TCHW):
        raise ValueError(f"frames to compare: {real_TCHW.shape} and {made_TCHW.shape}")
    if real_TCHW.shape[2] <= 2 * BORDER_PX:
        raise ValueError(f"{real_TCHW.shape[2]} rows; SSIM needs {2 * BORDER_PX + 1}")
    found = [_scores(real, made) for real, made in _pairs(real_TCHW, made_TCHW)]
    return {name: torch.cat([one[name] for one in found]).mean().item() for name in found[0]}


def _scores(real_TCHW: Tensor, made_TCHW: Tensor) -> dict[str, Tensor]:
    """Return every metric of every frame, (T,) float64."""
    top = real_TCHW.shape[2] // 2
    similar_TCHW = _ssim(real_TCHW, made_TCHW)
    inside = similar_TCHW[:, :, BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    lower = similar_TCHW[:, :, max(top, BORDER_PX) : -BORDER_PX, BORDER_PX:-BORDER_PX]
    return {
        "ssim": inside.double().mean(dim=(1, 2, 3)),
        "psnr_db": _psnr(real_TCHW, made_TCHW),
        "ssim_lower_half": lower.double().mean(dim=(1, 2, 3)),
        "psnr_lower_half_db": _psnr(real_TCHW[:, :, top:], made_TCHW[:, :, top:]),
    }


def _ssim(real_TCHW: Tensor, made_TCHW: Tensor) -> Tensor:
    """Return the SSIM map, (T, C, H, W)."""
    found = structural_similarity_index_measure(
        made_TCHW, real_TCHW, data_range=255.0, reduction="none", return_full_image=True
    )
    assert isinstance(found, tuple)
    return found[1]


def _psnr(real_TCHW: Tensor, made_TCHW: Tensor) -> Tensor:
    found = peak_signal_noise_ratio(
        made_TCHW, real_TCHW, data_range=255.0, reduction="none", dim=(1, 2, 3)
    )
    return found.double().clamp(max=MAX_PSNR_DB)


def _pairs(real_TCHW: Pixels, made_TCHW: Pixels) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(real_TCHW), BATCH_FRAMES):
        part = slice(start, start + BATCH_FRAMES)
        yield _tensor(real_TCHW[part]), _tensor(made_TCHW[part])


def _tensor(frames_TCHW: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames_TCHW)).float()
