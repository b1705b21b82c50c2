"""Rigid-point jitter and lip opening, from either landmark schema.

Shapes: T = frames, L = landmarks, P = chosen points. Coordinates are source pixels; the z of
`mesh468` has the scale of x, that of `insightface106` is 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import DecodeError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Schema:
    """Which points of a landmark model mean what. "Left" is the left of the picture."""

    name: str
    num_points: int
    left_eye: tuple[int, int]
    """Outer and inner corner of the eye at the left of the picture."""
    right_eye: tuple[int, int]
    """Inner and outer corner of the eye at the right of the picture."""
    mouth_corners: tuple[int, int]
    lips: tuple[tuple[int, int], ...]
    """Pairs (upper, lower) on the inner edge of the lips; the first is in the middle."""
    nose_tip: int
    rigid: tuple[int, ...]
    """Points that neither jaw nor lips nor lids move: nose bridge, nose tip, eye corners."""


MESH468 = Schema(
    name="mesh468",
    num_points=468,
    left_eye=(33, 133),
    right_eye=(362, 263),
    mouth_corners=(61, 291),
    lips=((13, 14), (82, 87), (312, 317)),
    nose_tip=1,
    rigid=(168, 6, 197, 195, 5, 4, 33, 133, 362, 263),
)
"""Face Mesh; numbering of MediaPipe's canonical face model."""

INSIGHTFACE106 = Schema(
    name="insightface106",
    num_points=106,
    left_eye=(35, 39),
    right_eye=(89, 93),
    mouth_corners=(52, 61),
    lips=((62, 60), (66, 54), (70, 57)),
    nose_tip=86,
    rigid=(72, 73, 74, 86, 80, 35, 39, 89, 93),
)
"""InsightFace's 2d106det; numbering read off the model's output on an upright frontal face."""

_SCHEMAS = {schema.name: schema for schema in (MESH468, INSIGHTFACE106)}
_SMALLEST_EYE_PX = 1.0
"""A degenerate detection must not divide by zero."""


def schema_named(name: str) -> Schema:
    """Return the schema of a Clip's `landmark_schema`.

    Raises:
        ValueError: no such schema: `faces` and `quality` disagree, a bug.
    """
    if name not in _SCHEMAS:
        raise ValueError(f"landmark schema {name!r} is unknown; known: {sorted(_SCHEMAS)}")
    return _SCHEMAS[name]


def checked(landmarks_TLC: npt.NDArray[np.float32], schema: Schema) -> Floats:
    """Return the landmarks as float64 (T, L, 3).

    Raises:
        DecodeError: another shape than the schema's, no frame, or a number that is not finite.
    """
    shape = landmarks_TLC.shape
    if len(shape) != 3 or shape[0] == 0 or shape[1:] != (schema.num_points, 3):
        raise DecodeError(f"landmarks have shape {shape}, {schema.name} needs (T, L, 3)")
    if not np.isfinite(landmarks_TLC).all():
        raise DecodeError("landmarks hold a value that is not finite")
    return landmarks_TLC.astype(np.float64)


def eye_distance(points_TLC: Floats, schema: Schema) -> Floats:
    """Return the distance between the eye centres per frame, shape (T,), in source pixels.

    Measured in space where the schema has depth, so that it does not shrink as the head turns.
    """
    left_TC = points_TLC[:, list(schema.left_eye)].mean(axis=1)
    right_TC = points_TLC[:, list(schema.right_eye)].mean(axis=1)
    distance_T: Floats = np.linalg.norm(right_TC - left_TC, axis=1)
    return np.maximum(distance_T, _SMALLEST_EYE_PX)


def jitter(points_TLC: Floats, interpolated_T: Flags, schema: Schema) -> float:
    """Return the RMS second difference of the rigid points over the eye distance, no unit.

    Only frames whose two neighbours were measured too: a straight interpolation has no second
    difference and would flatter the clip. 0 where there is no such frame.
    """
    rigid_TPC = points_TLC[:, list(schema.rigid), :2]
    second_TPC = np.diff(rigid_TPC, n=2, axis=0)
    used = ~(interpolated_T[2:] | interpolated_T[1:-1] | interpolated_T[:-2])
    if not used.any():
        return 0.0
    square = (second_TPC[used] ** 2).sum(axis=2).mean()
    return float(np.sqrt(square) / np.median(eye_distance(points_TLC, schema)))


def lip_opening(points_TLC: Floats, schema: Schema) -> Floats:
    """Return the gap between the lips over the eye distance per frame, shape (T,), no unit."""
    upper_TPC = points_TLC[:, [pair[0] for pair in schema.lips]]
    lower_TPC = points_TLC[:, [pair[1] for pair in schema.lips]]
    gap_T: Floats = np.linalg.norm(lower_TPC - upper_TPC, axis=2).mean(axis=1)
    return gap_T / eye_distance(points_TLC, schema)


def mouth_movement(points_TLC: Floats, interpolated_T: Flags, schema: Schema) -> float:
    """Return the standard deviation of the lip opening over the measured frames, no unit."""
    opening_T = lip_opening(points_TLC, schema)[~interpolated_T]
    return float(opening_T.std()) if opening_T.size else 0.0
