"""Openings, aspect ratios and shares from landmarks of known shape."""

import numpy as np
import pytest

from pipeline.faces.schemas import MESH468
from tests.trainers.evaluation.talking_films import landmarks
from trainers.evaluation.mouth_shape import crop_geometry, mouth_aspect_ratio, mouth_opening
from trainers.evaluation.mouth_shares import mouth_shares
from trainers.evaluation.stored_landmarks import ClipLandmarks

OPENINGS = np.array([0.0, 0.04, 0.2, 0.3])


def test_the_opening_is_that_of_the_lips_at_any_size_place_and_roll():
    points = landmarks(OPENINGS)
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = points.copy()
    moved[..., :2] = 140 * points[..., :2] @ rotation.T + 33
    for one in (points, moved):
        np.testing.assert_allclose(mouth_opening(MESH468, one), OPENINGS, atol=1e-5)
    np.testing.assert_allclose(mouth_aspect_ratio(MESH468, points), OPENINGS, atol=1e-6)


def test_shares_count_frames_with_a_face():
    points = landmarks(np.append(OPENINGS, 0.9))
    points[-1] = np.nan
    shares = mouth_shares("mesh468", points)
    assert shares == {"mouth_open_share": 0.25, "mouth_closed_share": 0.5}
    nothing = mouth_shares("mesh468", np.full((3, 1, 3), np.nan, np.float32))
    assert np.isnan(list(nothing.values())).all()


def test_geometry_holds_matrix_and_eye_corners_in_the_crop():
    points = landmarks(OPENINGS).astype(np.float64)
    matrices = np.tile(np.array([[2.0, 0, 5], [0, 2.0, 7]]), (4, 1, 1))
    geometry = crop_geometry(ClipLandmarks(MESH468, points, matrices))
    assert geometry.shape == (4, 14)
    np.testing.assert_allclose(geometry[:, :6], matrices.reshape(4, 6))
    np.testing.assert_allclose(geometry[0, 6:8], 2 * points[0, 33, :2] + [5, 7])
    assert geometry[0, -2:] == pytest.approx([2 * 0.5 + 5, 7])
