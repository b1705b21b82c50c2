"""Distances of embeddings at every offset, their mean curve, and its minimum.

Sign: offset o pairs video window i with audio window i - o, so a positive offset means that the
audio is early (SyncNet's sign). Shape suffixes: W windows (one per frame), D embedding,
K = 31 offsets from -15 to +15.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_OFFSET_FRAMES = 15
NUM_OFFSETS = 2 * MAX_OFFSET_FRAMES + 1
FLAT = 1e-6
"""Distances that differ by less are equal: rounding."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """The sync score of one clip."""

    offset_frames: int
    """Audio lead in frames at 25 fps; positive = audio early."""
    offset_subframe: float
    """The same from a parabola through the minimum and its two neighbours."""
    confidence: float
    """Median minus minimum of `curve`; >= 0."""
    min_distance: float
    """Minimum of `curve`."""
    curve: Doubles
    """(31,) mean distance at offsets -15 ... +15."""
    distances: Doubles
    """(W, 31), one row per window; NaN where the audio window lies outside of the clip."""
    mode: str = "masked"
    """`masked`: pairs outside of the clip do not count; `reference`: they count, as zeros."""
    probability: float | None = None
    """Calibrated probability that `offset_frames` is right within one frame."""
    drift_frames: float | None = None
    """Change of the offset from the first to the last frame; None where it cannot be measured."""


def pair_distances(picture_WD: Doubles, sound_WD: Doubles) -> Doubles:
    """Return (W, 31) Euclidean distances; NaN where there is no sound window to pair with."""
    num = len(picture_WD)
    distances = np.full((num, NUM_OFFSETS), np.nan)
    for column, offset in enumerate(range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)):
        first, end = max(0, offset), max(0, offset, min(num, num + offset))
        gap_WD = picture_WD[first:end] - sound_WD[first - offset : end - offset]
        distances[first:end, column] = np.sqrt(np.einsum("wd,wd->w", gap_WD, gap_WD))
    return distances


def mean_curve(distances_WK: Doubles) -> Doubles:
    """Average over windows, (31,), without a bias to far offsets on short clips.

    A plain mean over the |o| fewer windows of offset o is noisier, and the minimum is biased to
    noise. So a missing pair counts as the mean of its own window, neutral to the offset.
    """
    return np.asarray(filled(distances_WK).mean(axis=0))


def filled(distances_WK: Doubles) -> Doubles:
    """Replace pairs without audio by the mean of their window."""
    neutral = np.nanmean(distances_WK, axis=1, keepdims=True)
    return np.where(np.isnan(distances_WK), neutral, distances_WK)


def read_curve(distances_WK: Doubles) -> JudgeResult:
    """Find the best offset of a clip.

    Raises:
        ValueError: no window at all.
    """
    if not len(distances_WK):
        raise ValueError("no window to judge")
    curve = mean_curve(distances_WK)
    best = _lowest(curve)
    return JudgeResult(
        offset_frames=best - MAX_OFFSET_FRAMES,
        offset_subframe=best - MAX_OFFSET_FRAMES + vertex(curve, best),
        confidence=float(np.median(curve) - curve.min()),
        min_distance=float(curve.min()),
        curve=curve,
        distances=distances_WK,
    )


def _lowest(curve_K: Doubles) -> int:
    """Return where the curve is lowest; of equals, as for silence, the one nearest to offset 0."""
    equal = np.flatnonzero(curve_K <= curve_K.min() + FLAT)
    return int(equal[np.abs(equal - MAX_OFFSET_FRAMES).argmin()])


def vertex(curve_K: Doubles, best: int) -> float:
    """Return the minimum of the parabola through three points, in -0.5 ... 0.5 from `best`."""
    if best in (0, len(curve_K) - 1):
        return 0.0
    before, here, after = curve_K[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(0.5 * (before - after) / bend) if bend > 0 else 0.0
