"""Opening of the mouth and shape of the face from landmarks.

Shape suffixes: T frames, L landmarks, C coordinates, P pairs of points, K numbers per frame.
Source: the mouth aspect ratio follows the eye aspect ratio of Soukupova and Cech (CVWW 2016): mean
height of the inner lips over the distance of the mouth's corners.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.schemas import LandmarkSchema
from trainers.evaluation.stored_landmarks import ClipLandmarks

Doubles = NDArray[np.float64]

OPEN_ASPECT = 0.25
"""Mouth aspect ratio above which a mouth is open: LipLeak's limit (KeySync, 2025)."""
CLOSED_ASPECT = 0.08
"""Below which it is closed: ours; the mesh puts resting lips in the demo at 0.01 to 0.06."""


def mouth_opening(schema: LandmarkSchema, points_TLC: NDArray[Any]) -> Doubles:
    """Return (T,): mean height of the inner lips, divided by the distance of the outer eye corners.

    Independent of size, place and roll of the face.
    """
    return _inner_height(schema, points_TLC) / _distance(points_TLC, *schema.outer_eye_corners)


def mouth_aspect_ratio(schema: LandmarkSchema, points_TLC: NDArray[Any]) -> Doubles:
    """Return (T,): mean height of the inner lips, divided by the mouth's width; NaN stays NaN."""
    return _inner_height(schema, points_TLC) / _distance(points_TLC, *schema.mouth_corners)


def crop_geometry(landmarks: ClipLandmarks) -> Doubles:
    """Return (T, 14): the crop's matrix, and the four eye corners in pixels of the crop."""
    schema, matrices = landmarks.schema, landmarks.matrices
    corners = [*schema.left_eye_corners, *schema.right_eye_corners]
    eyes_TPC = landmarks.points[:, corners, :2]
    in_crop_TPC = np.einsum("tij,tpj->tpi", matrices[:, :, :2], eyes_TPC)
    in_crop_TPC += matrices[:, None, :, 2]
    frames = len(matrices)
    return np.concatenate([matrices.reshape(frames, 6), in_crop_TPC.reshape(frames, 8)], axis=1)


def _inner_height(schema: LandmarkSchema, points_TLC: NDArray[Any]) -> Doubles:
    heights = [_distance(points_TLC, upper, lower) for upper, lower in schema.lip_pairs]
    return np.asarray(np.mean(heights, axis=0))


def _distance(points_TLC: NDArray[Any], one: int, other: int) -> Doubles:
    apart = np.asarray(points_TLC[:, one, :2] - points_TLC[:, other, :2], np.float64)
    return np.asarray(np.linalg.norm(apart, axis=1))
