"""Change of the offset along a clip: a straight line through the distance map.

A clip whose audio runs at another speed than its video, or is edited differently, has different
offsets at its beginning and end. The mean distance along a line between the two is lower than at
any constant offset. All windows are used, so that noisy clips have a result too.

A pair beyond the map's sides is neutral: 0, its window's mean.

Shape suffixes: W windows (one per frame), K = 31 offsets from -15 to +15, Q = 121 quarters of a
frame, S slopes.
"""

import numpy as np

from pipeline.judge.curve import NUM_OFFSETS, Doubles, filled, vertex
from pipeline.judge.spline import refined

MIN_WINDOWS = 90
"""4 s: on 3 s, one genuine clip in twelve has a drift of more than two frames."""
MAX_DRIFT_FRAMES = 10.0
STEP_FRAMES = 0.5
FINE = 4
"""Columns of the map per frame of offset."""


def drift_frames(distances_WK: Doubles) -> float | None:
    """Return how many frames the offset grows from the first window to the last; None if too short.

    Args:
        distances_WK: (W, 31), NaN where there is no pair; such a pair counts as its window's mean.
    """
    if len(distances_WK) < MIN_WINDOWS:
        return None
    known = filled(distances_WK)
    fine = _fine(known - known.mean(axis=1, keepdims=True))
    slopes = np.arange(-MAX_DRIFT_FRAMES, MAX_DRIFT_FRAMES + STEP_FRAMES, STEP_FRAMES)
    lowest = np.array([_along(fine, slope).min() for slope in slopes])
    return float(slopes[lowest.argmin()] + STEP_FRAMES * vertex(lowest, int(lowest.argmin())))


def curve_along(distances_WK: Doubles, drift: float) -> Doubles:
    """Return (31,) the mean distance along lines whose offset grows by `drift` frames from the
    first window to the last, by the offset at the middle; relative to each window's mean.
    """
    known = filled(distances_WK)
    return _along(_fine(known - known.mean(axis=1, keepdims=True)), drift)


def _fine(distances_WK: Doubles) -> Doubles:
    """Return the map at quarters of a frame, (W, 121): linear interpolation would
    flatten minima between two columns, and bias every drift to zero."""
    return refined(distances_WK, FINE)


def _along(fine_WQ: Doubles, slope: float) -> Doubles:
    """Return (31,) the mean distance along lines through each offset at the clip's middle."""
    windows, columns = fine_WQ.shape
    lean_W = slope * (np.arange(windows) / max(1, windows - 1) - 0.5)
    places_WK = np.rint(FINE * (np.arange(NUM_OFFSETS) + lean_W[:, None])).astype(int)
    inside = (places_WK >= 0) & (places_WK < columns)
    values = fine_WQ[np.arange(windows)[:, None], np.clip(places_WK, 0, columns - 1)]
    return np.asarray(np.where(inside, values, 0.0).mean(axis=0))
