"""Frames at which a person jumps before an unchanged background: frames are missing there.

`faces` ends a track where that is plain to see (pipeline/faces/continuity.py). What is left is
looked for here with two measures together, each over its own largest value on the frames beside:
how much the aligned picture changes, and how far the head moves. A movement takes several frames,
so that what is beside its fastest step is nearly as fast; a blink or a word changes the picture and
moves no head; landmarks that are lost move and the picture does not change with them.

Shapes: T frames, L landmarks, P rigid points.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.faces.schemas import LandmarkSchema
from pipeline.quality.landmarks import Flags, Floats, eye_distance

BESIDE, LEAST_BESIDE = 6, 3
"""Frames before and behind to which a step is compared, and the fewest of them: what is nearer to
an end of the clip is not judged."""
STILL_CHANGE, STILL_STEP = 1.0, 0.01
"""Levels of luma, and distances between the eyes: less beside counts as so much."""
EACH, BOTH = 1.5, 5.0
"""How often as large as beside each measure must be, and the product of both. Measured:
docs/quality.md."""


def jump_cuts(
    changes_T: Floats, points_TLC: Floats, interpolated_T: Flags, schema: LandmarkSchema
) -> list[int]:
    """Return the frames of the clip that begin something else, ascending.

    Args:
        changes_T: difference of each frame from the one before, as `picture.changes` gives it.
    """
    if len(changes_T) < 2 * LEAST_BESIDE + 2:
        return []
    picture_S = _over_beside(changes_T[1:], STILL_CHANGE)
    head_S = _over_beside(_steps(points_TLC, schema), STILL_STEP)
    jumps_S = (np.minimum(picture_S, head_S) >= EACH) & (picture_S * head_S >= BOTH)
    jumps_S &= ~(interpolated_T[1:] | interpolated_T[:-1])
    jumps_S[:LEAST_BESIDE] = jumps_S[-LEAST_BESIDE:] = False
    return [int(step) + 1 for step in np.flatnonzero(jumps_S)]


def _steps(points_TLC: Floats, schema: LandmarkSchema) -> Floats:
    """Return how far the rigid points move from frame to frame, (T - 1,), in eye distances."""
    rigid_TPC = points_TLC[:, list(schema.rigid), :2].astype(np.float64)
    square_SP = (np.diff(rigid_TPC, axis=0) ** 2).sum(axis=2)
    steps_S: Floats = np.sqrt(square_SP.mean(axis=1))
    return steps_S / np.median(eye_distance(points_TLC, schema))


def _over_beside(values_S: Floats, least: float) -> Floats:
    """Return each value over the largest one of the BESIDE before and behind it."""
    windows = sliding_window_view(np.pad(values_S, BESIDE), 2 * BESIDE + 1).copy()
    windows[:, BESIDE] = 0.0
    over_S: Floats = values_S / np.maximum(windows.max(axis=1), least)
    return over_S
