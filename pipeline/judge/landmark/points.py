"""The points the judge needs, from either landmark schema.

Lip points are the 20 of the outer contour, then the 20 of the inner one, in the order of
`pipeline.faces.schemas.LipContour`.

Shape suffixes: T frames, L landmarks, P = 40 lip points, C coordinates (x, y, z).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.schemas import (
    CONTOUR_POINTS,
    INSIGHTFACE106,
    MESH468,
    SCHEMAS,
    LandmarkSchema,
)


@dataclass(frozen=True, slots=True)
class FacePoints:
    """Lips, eyes and chin. Left and right are those of the image."""

    lips: NDArray[np.float64]
    """(T, 40, 3)."""
    left_eye: NDArray[np.float64]
    """(T, 3), its centre."""
    right_eye: NDArray[np.float64]
    """(T, 3), its centre."""
    chin: NDArray[np.float64]
    """(T, 3)."""


def face_points(landmarks_TLC: NDArray[Any]) -> FacePoints:
    """Select or interpolate the judge's points.

    Raises:
        ValueError: not (T, 468, 3) and not (T, 106, 3).
    """
    points = np.asarray(landmarks_TLC, dtype=np.float64)
    schema = _BY_SHAPE.get(points.shape[1:])
    if points.ndim != 3 or schema is None:
        raise ValueError(f"landmarks of shape {points.shape}, not (T, 468, 3) or (T, 106, 3)")
    return FacePoints(
        lips=_lips(points, schema),
        left_eye=points[:, schema.left_eye].mean(axis=1),
        right_eye=points[:, schema.right_eye].mean(axis=1),
        chin=points[:, schema.chin],
    )


def _lips(points_TLC: NDArray[np.float64], schema: LandmarkSchema) -> NDArray[np.float64]:
    """Return both contours, (T, 40, 3); those of InsightFace are interpolated, z stays 0."""
    outer, inner = schema.outer_lip, schema.inner_lip
    if schema is MESH468:
        return points_TLC[:, outer.points + inner.points]
    contours = (_interpolated(points_TLC[:, one.points], one.positions) for one in (outer, inner))
    return np.concatenate(list(contours), axis=1)


def as_insightface106(lips_TPC: NDArray[Any]) -> NDArray[Any]:
    """Return 40 lip points as interpolated from InsightFace's 20: for training on both schemas.

    Args:
        lips_TPC: (T, 40, 3), both contours.
    """
    contours = (lips_TPC[:, :CONTOUR_POINTS], lips_TPC[:, CONTOUR_POINTS:])
    positions = (INSIGHTFACE106.outer_lip.positions, INSIGHTFACE106.inner_lip.positions)
    resampled = [
        _interpolated(_sampled(contour, at), at)
        for contour, at in zip(contours, positions, strict=True)
    ]
    return np.concatenate(resampled, axis=1)


def _sampled(contour_TPC: NDArray[Any], at: tuple[float, ...]) -> NDArray[Any]:
    """Return the points at positions of a closed contour, by linear interpolation."""
    low = np.floor(at).astype(int)
    share = (np.asarray(at) - low)[:, None]
    after = contour_TPC[:, (low + 1) % CONTOUR_POINTS]
    return np.asarray(contour_TPC[:, low] * (1 - share) + after * share)


def _interpolated(points_TPC: NDArray[np.float64], at: tuple[float, ...]) -> NDArray[np.float64]:
    """Return (T, 20, 3): the whole contour from points at some positions, linearly."""
    weights = np.stack(
        [
            np.interp(np.arange(CONTOUR_POINTS), at, column, period=CONTOUR_POINTS)
            for column in np.eye(len(at))
        ]
    )
    return np.asarray(np.einsum("pr,tpc->trc", weights, points_TPC))


_BY_SHAPE = {(schema.num_points, 3): schema for schema in SCHEMAS.values()}
