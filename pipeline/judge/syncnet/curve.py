"""SyncNet's arithmetic after the network: distances, offset, LSE-C, LSE-D, confidence per frame.

The published code has columns j = 0 ... 30 and the offset 15 - j; here columns run over offsets
-15 ... +15 as in the rest of the project, so they are the published ones reversed.

Shape suffixes: W windows, D embedding, K = 31 offsets.
Source: golden G1; joonson/syncnet_python.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from pipeline.judge.curve import MAX_OFFSET_FRAMES, NUM_OFFSETS, JudgeResult, read_curve, vertex

Doubles = NDArray[np.float64]

EPSILON = 1e-6
"""Added to every component of a difference by PyTorch's pairwise distance."""
CONFIDENCE_TAPS = 9
BLOCK = 256
"""Windows compared at once, so that memory does not grow with the clip."""


def window_distances(lip_WD: NDArray[Any], sound_WD: NDArray[Any]) -> Doubles:
    """Return (W, 31) Euclidean distances at offsets -15 ... +15.

    An audio window outside of the clip is a vector of zeros.
    """
    distances = np.empty((len(lip_WD), NUM_OFFSETS))
    padded = np.pad(sound_WD, ((MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES), (0, 0))).astype(np.float64)
    for at in range(0, len(lip_WD), BLOCK):
        lip = lip_WD[at : at + BLOCK].astype(np.float64) + EPSILON
        for shift in range(NUM_OFFSETS):
            gap = lip - padded[at + shift : at + shift + len(lip)]
            distances[at : at + BLOCK, -1 - shift] = np.sqrt(np.einsum("wd,wd->w", gap, gap))
    return distances


def read_distances(
    distances_WK: Doubles, mode: Literal["reference", "masked"] = "reference"
) -> JudgeResult:
    """Find the best offset.

    Args:
        distances_WK: from `window_distances`.
        mode: `reference`: all pairs count, as published, and of equal minima the largest offset
            is taken; `masked`: pairs outside of the clip become NaN and are neutral.

    Raises:
        ValueError: no window at all, or another mode.
    """
    if not len(distances_WK):
        raise ValueError("no window to judge")
    if mode == "masked":
        return read_curve(np.where(_inside(len(distances_WK)), distances_WK, np.nan))
    if mode != "reference":
        raise ValueError(f"mode {mode!r}: known are reference and masked")
    curve = distances_WK.mean(axis=0)
    best = NUM_OFFSETS - 1 - int(curve[::-1].argmin())
    return JudgeResult(
        offset_frames=best - MAX_OFFSET_FRAMES,
        offset_subframe=best - MAX_OFFSET_FRAMES + vertex(curve, best),
        confidence=float(np.median(curve) - curve[best]),
        min_distance=float(curve[best]),
        curve=curve,
        distances=distances_WK,
        mode="reference",
    )


def framewise_confidence(result: JudgeResult) -> Doubles:
    """Return (W,) confidence per window at the clip's offset: median of the curve minus distance.

    A median of 9 windows, zeros beyond the ends. NaN where a pair does not count.
    """
    best = result.offset_frames + MAX_OFFSET_FRAMES
    raw = np.median(result.curve) - result.distances[:, best]
    smooth, counts = np.full(len(raw), np.nan), np.isfinite(raw)
    smooth[counts] = median_filter(raw[counts], CONFIDENCE_TAPS, mode="constant", cval=0.0)
    return smooth


def _inside(windows: int) -> NDArray[np.bool_]:
    """Return (W, 31): whether the sound window of a pair lies in the clip."""
    offsets = np.arange(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)
    sound = np.arange(windows)[:, None] - offsets
    return (sound >= 0) & (sound < windows)
