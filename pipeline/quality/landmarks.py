"""Rigid-point jitter and lip opening, from either landmark schema.

Shapes: T = frames, L = landmarks, P = chosen points. Coordinates are source pixels.
"""

import numpy as np
import numpy.typing as npt

from pipeline.faces.schemas import LandmarkSchema

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


_SMALLEST_EYE_PX = 1.0
"""Lower bound, against division by zero on a degenerate detection."""


def eye_distance(points_TLC: Floats, schema: LandmarkSchema) -> Floats:
    """Return the distance between the eye centres per frame, shape (T,), in source pixels.

    Measured in 3-D where the schema has depth, so that it does not depend on the head pose.
    """
    left_TC = points_TLC[:, list(schema.left_eye_corners)].mean(axis=1)
    right_TC = points_TLC[:, list(schema.right_eye_corners)].mean(axis=1)
    distance_T: Floats = np.linalg.norm(right_TC - left_TC, axis=1)
    return np.maximum(distance_T, _SMALLEST_EYE_PX)


def jitter(points_TLC: Floats, interpolated_T: Flags, schema: LandmarkSchema) -> float:
    """Return the RMS second difference of the rigid points over the eye distance, no unit.

    Only frames whose two neighbours were measured too: linear interpolation has no second
    difference and would lower the result. 0 where there is no such frame.
    """
    rigid_TPC = points_TLC[:, list(schema.rigid), :2]
    second_TPC = np.diff(rigid_TPC, n=2, axis=0)
    used = ~(interpolated_T[2:] | interpolated_T[1:-1] | interpolated_T[:-2])
    if not used.any():
        return 0.0
    square = (second_TPC[used] ** 2).sum(axis=2).mean()
    return float(np.sqrt(square) / np.median(eye_distance(points_TLC, schema)))


def lip_opening(points_TLC: Floats, schema: LandmarkSchema) -> Floats:
    """Return the gap between the lips over the eye distance per frame, shape (T,), no unit."""
    upper_TPC = points_TLC[:, [pair[0] for pair in schema.lip_pairs]]
    lower_TPC = points_TLC[:, [pair[1] for pair in schema.lip_pairs]]
    gap_T: Floats = np.linalg.norm(lower_TPC - upper_TPC, axis=2).mean(axis=1)
    return gap_T / eye_distance(points_TLC, schema)


def mouth_movement(points_TLC: Floats, interpolated_T: Flags, schema: LandmarkSchema) -> float:
    """Return the standard deviation of the lip opening over the measured frames, no unit."""
    opening_T = lip_opening(points_TLC, schema)[~interpolated_T]
    return float(opening_T.std()) if opening_T.size else 0.0
