"""Which skin the mouth moves: an outline on the aligned face, inside of what a model repaints.

A lip-sync model sees the face outside of its mask's hole. Where skin out there moves with the
mouth, the model reads the lips off it and need not listen. So all that the mouth moves lies within
an outline some 8 of 256 pixels inside of LatentSync's hole, without its cheek strips.

Shape suffixes: L landmarks, P points, C coordinates (x, y, z).
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.faces import alignment
from pipeline.faces.schemas import MESH468

TOP, BOTTOM = 135.0, 233.0
"""Rows of the aligned face of 256 x 256: between nose and upper lip, below an open jaw."""
CENTRE, HALF_WIDTH = 128.5, 99.0
_POWERS = (2.41, 1.866)
"""As the mask's jaw: half width at depth d is (1 - d ** p) ** (1 / q)."""
_SPACING = 7.0
_ABOVE = 95.0
"""Row above which vertices follow the lids."""


def outline(points_LC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (P, 2): points on the outline, `_SPACING` pixels of the aligned face apart.

    Args:
        points_LC: the landmarks, in the pixels of the portrait, as the result.
    """
    turn = np.linspace(0.0, np.pi, 400)
    depth = np.sin(turn)
    half = HALF_WIDTH * _width(depth) * np.sign(np.cos(turn))
    curve = np.column_stack([CENTRE + half, TOP + depth * (BOTTOM - TOP)])
    closed = np.concatenate([curve, curve[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], round(length[-1] / _SPACING), endpoint=False)
    square = np.column_stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)])
    matrix = _to_aligned(points_LC)
    return np.asarray((square - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)


def is_still(points: NDArray[np.float64], landmarks_LC: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return, for points (P, 2) of the portrait, whether the mouth must not move them.

    What lies above the nose is not meant: it is far from the mouth, and follows the lids.
    """
    matrix = _to_aligned(landmarks_LC)
    x, y = (points @ matrix[:, :2].T + matrix[:, 2]).T
    depth = np.clip((y - TOP) / (BOTTOM - TOP), 0.0, 1.0)
    inside = (y > TOP) & (np.abs(x - CENTRE) < HALF_WIDTH * _width(depth) - 0.5)
    return np.asarray(~inside & (y > _ABOVE))


def _width(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    power, root = _POWERS
    return np.asarray((1.0 - depth**power) ** (1.0 / root))


def _to_aligned(points_LC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix (2, 3) from the portrait to its aligned face of 256 x 256."""
    anchors = MESH468.template_anchors(points_LC)
    return alignment.to_square(alignment.similarity(anchors), alignment.BASE_CROP_PX)
