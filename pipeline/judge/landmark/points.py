"""The points the judge needs, found in either landmark schema.

Lip points go once around: 20 on the outer rim, then 20 on the inner one, each from the picture's
left corner along the lower lip to the right corner and back along the upper lip. So point i of a
rim and point (10 - i) mod 20 mirror each other.

Shape suffixes: T frames, L landmarks, P = 40 lip points, C coordinates (x, y, z).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEMAS = ("mesh468", "insightface106")
"""Values of Clip.landmark_schema that the judge can read."""
RIM_POINTS = 20

MESH_OUTER = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
    *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
)
MESH_INNER = (
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324),
    *(308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
MESH_LEFT_EYE, MESH_RIGHT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)
MESH_CHIN = 152

SPARSE_OUTER = (52, 55, 56, 53, 59, 58, 61, 68, 67, 71, 63, 64)
SPARSE_OUTER_AT = (0, 1.8, 3.4, 5, 6.6, 8.2, 10, 12.6, 14, 15, 16, 17.4)
SPARSE_INNER = (65, 54, 60, 57, 69, 70, 62, 66)
SPARSE_INNER_AT = (0, 2.6, 5, 7.4, 10, 12.6, 15, 17.4)
"""InsightFace's mouth points, and where each lies on the rim of 20 mesh points: fitted by eye on
two clips for which both backends gave landmarks; 1 to 3 % of the face's height off."""
SPARSE_LEFT_EYE, SPARSE_RIGHT_EYE = slice(33, 43), slice(87, 97)
SPARSE_CHIN = 0


@dataclass(frozen=True, slots=True)
class FacePoints:
    """Lips, eyes and chin. Left and right are the picture's."""

    lips: NDArray[np.float64]
    """(T, 40, 3)."""
    left_eye: NDArray[np.float64]
    """(T, 3), its centre."""
    right_eye: NDArray[np.float64]
    """(T, 3), its centre."""
    chin: NDArray[np.float64]
    """(T, 3)."""


def face_points(landmarks_TLC: NDArray[Any]) -> FacePoints:
    """Pick or interpolate the judge's points.

    Raises:
        ValueError: not (T, 468, 3) and not (T, 106, 3).
    """
    points = np.asarray(landmarks_TLC, dtype=np.float64)
    read = _READERS.get(points.shape[1:])
    if points.ndim != 3 or read is None:
        raise ValueError(f"landmarks of shape {points.shape}, not (T, 468, 3) or (T, 106, 3)")
    return read(points)


def _from_mesh(points_TLC: NDArray[np.float64]) -> FacePoints:
    return FacePoints(
        lips=points_TLC[:, MESH_OUTER + MESH_INNER],
        left_eye=points_TLC[:, MESH_LEFT_EYE].mean(axis=1),
        right_eye=points_TLC[:, MESH_RIGHT_EYE].mean(axis=1),
        chin=points_TLC[:, MESH_CHIN],
    )


def _from_sparse(points_TLC: NDArray[np.float64]) -> FacePoints:
    """Fill InsightFace's 20 mouth points up to 40, along the rims. Depth stays 0."""
    outer = _along_rim(points_TLC[:, SPARSE_OUTER], SPARSE_OUTER_AT)
    inner = _along_rim(points_TLC[:, SPARSE_INNER], SPARSE_INNER_AT)
    return FacePoints(
        lips=np.concatenate([outer, inner], axis=1),
        left_eye=points_TLC[:, SPARSE_LEFT_EYE].mean(axis=1),
        right_eye=points_TLC[:, SPARSE_RIGHT_EYE].mean(axis=1),
        chin=points_TLC[:, SPARSE_CHIN],
    )


def as_sparse(lips_TPC: NDArray[Any]) -> NDArray[Any]:
    """Return 40 lip points as they would be filled up from InsightFace's 20: for training on both.

    Args:
        lips_TPC: (T, 40, 3), both rims.
    """
    rims = (lips_TPC[:, :RIM_POINTS], lips_TPC[:, RIM_POINTS:])
    at = (SPARSE_OUTER_AT, SPARSE_INNER_AT)
    filled = [_along_rim(_read_rim(rim, where), where) for rim, where in zip(rims, at, strict=True)]
    return np.concatenate(filled, axis=1)


def _read_rim(rim_TPC: NDArray[Any], at: tuple[float, ...]) -> NDArray[Any]:
    """Return the points at places of a closed rim, by linear interpolation."""
    low = np.floor(at).astype(int)
    share = (np.asarray(at) - low)[:, None]
    return np.asarray(rim_TPC[:, low] * (1 - share) + rim_TPC[:, (low + 1) % RIM_POINTS] * share)


def _along_rim(points_TPC: NDArray[np.float64], at: tuple[float, ...]) -> NDArray[np.float64]:
    """Return (T, 20, 3) by linear interpolation around a closed rim of length 20."""
    weights = np.stack(
        [
            np.interp(np.arange(RIM_POINTS), at, column, period=RIM_POINTS)
            for column in np.eye(len(at))
        ]
    )
    return np.asarray(np.einsum("pr,tpc->trc", weights, points_TPC))


_READERS: dict[tuple[int, ...], Callable[[NDArray[np.float64]], FacePoints]] = {
    (468, 3): _from_mesh,
    (106, 3): _from_sparse,
}
