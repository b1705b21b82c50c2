"""Landmarks of aligned faces, and the distance of lips."""

import cv2
import numpy as np
import pytest

from pipeline.errors import WeightsError
from pipeline.faces.litert import LiteRTBackend
from pipeline.faces.schemas import MESH468
from trainers.evaluation.landmark_distance import (
    as_canvas,
    face_landmarks,
    has_face,
    mouth_distance,
    with_gaps_filled,
)


@pytest.fixture
def lips():
    """Landmarks of 4 frames whose mouths are 40 pixels wide."""
    points = np.zeros((4, 468, 3), np.float32)
    turn = np.linspace(np.pi, 3 * np.pi, 20, endpoint=False)
    contour = np.stack([20 * np.cos(turn), -8 * np.sin(turn), 0 * turn], axis=1)
    points[:, MESH468.outer_lip.points] = contour
    points[:, MESH468.inner_lip.points] = contour / 2
    return points + 100


def test_a_clip_has_no_distance_to_itself(lips):
    found = mouth_distance(lips, lips)
    assert (found.px, found.mouth_widths, found.frames) == (0, 0, 4)


def test_where_the_mouth_is_does_not_count(lips):
    assert mouth_distance(lips, lips + 7).px == pytest.approx(0, abs=1e-5)


def test_a_mouth_opened_by_some_pixels_is_so_far_away(lips):
    """Half the lip points move 6 pixels down; both mouths on one centre: each point 3 pixels."""
    opened = lips.copy()
    lower = [*MESH468.outer_lip.points[:10], *MESH468.inner_lip.points[:10]]
    opened[:, lower, 1] += 6
    found = mouth_distance(lips, opened)
    assert found.px == pytest.approx(3, abs=1e-4)
    assert found.mouth_widths == pytest.approx(3 / 40, abs=1e-4)


def test_frames_without_a_face_are_left_out_and_counted(lips):
    other = lips.copy()
    other[1] = np.nan
    assert mouth_distance(lips, other).frames == 3
    assert np.isnan(mouth_distance(lips, np.full_like(lips, np.nan)).px)


def test_gaps_are_filled_with_the_nearest_face(lips):
    broken = lips + np.arange(4, dtype=np.float32)[:, None, None]
    kept = broken.copy()
    broken[[0, 2]] = np.nan
    np.testing.assert_array_equal(with_gaps_filled(broken), kept[[1, 1, 1, 3]])
    with pytest.raises(ValueError, match="no frame has a face"):
        with_gaps_filled(np.full_like(lips, np.nan))


@pytest.fixture(scope="module")
def backend():
    try:
        return LiteRTBackend()
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def face():
    """An aligned face as shards hold it: a square, wider than the person, filled by the face."""
    data = pytest.importorskip("skimage.data")
    part = data.astronaut()[58:188, 172:270, :3]  # brows to chin, no room around
    return cv2.resize(part, (256, 256), interpolation=cv2.INTER_CUBIC)


def test_a_face_that_fills_the_image_is_found_and_grey_has_none(backend, face):
    grey = np.full_like(face, 128)
    found = face_landmarks(backend, np.stack([face, grey, face]).transpose(0, 3, 1, 2))
    assert found.shape == (3, 468, 3)
    assert has_face(found).tolist() == [True, False, True]
    assert mouth_distance(found[:1], found[2:]).px == 0


def test_the_models_resolution_does_not_move_the_landmarks(backend, face):
    large = cv2.resize(face, (512, 512), interpolation=cv2.INTER_CUBIC)
    small, fine = (
        face_landmarks(backend, one.transpose(2, 0, 1)[None].copy()) for one in (face, large)
    )
    assert mouth_distance(small, fine).px < 0.5


def test_the_canvas_has_the_faces_own_proportions(face):
    assert as_canvas(face.transpose(2, 0, 1)).shape == (280, 210, 3)
