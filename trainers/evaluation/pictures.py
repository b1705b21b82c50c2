"""How near dubbed pictures come to the real ones: SSIM and PSNR, by torchmetrics.

Pixels outside of the repaint mask are the original's, which flatters whole pictures; so both are
given for the lower half too, where the mouth is.

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

AT_ONCE = 16
"""Frames compared together: SSIM holds five pictures of each."""
EQUAL_DB = 10 * math.log10(255**2 * 12)
"""PSNR of an error of 1/12 squared levels, which rounding to bytes makes: the finest to be told."""
BORDER_PX = 5
"""Half of SSIM's window: nearer to the picture's edge it would look outside."""


def picture_scores(real_TCHW: Pixels, made_TCHW: Pixels) -> dict[str, float]:
    """Return `ssim`, `psnr_db`, `ssim_lower_half` and `psnr_lower_half_db`, means over the frames.

    A frame that equals the original would have an infinite PSNR; it counts as 58.9 dB.

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
    """Return every number of every frame, (T,) float64."""
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
    """Return the similarity around every pixel, (T, C, H, W)."""
    found = structural_similarity_index_measure(
        made_TCHW, real_TCHW, data_range=255.0, reduction="none", return_full_image=True
    )
    assert isinstance(found, tuple)
    return found[1]


def _psnr(real_TCHW: Tensor, made_TCHW: Tensor) -> Tensor:
    found = peak_signal_noise_ratio(
        made_TCHW, real_TCHW, data_range=255.0, reduction="none", dim=(1, 2, 3)
    )
    return found.double().clamp(max=EQUAL_DB)


def _pairs(real_TCHW: Pixels, made_TCHW: Pixels) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(real_TCHW), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        yield _tensor(real_TCHW[part]), _tensor(made_TCHW[part])


def _tensor(frames_TCHW: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames_TCHW)).float()
