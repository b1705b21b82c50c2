"""Geometry of face boxes."""

import numpy as np
import pytest

from pipeline.faces import boxes
from pipeline.faces.backend import Detection


def test_the_box_of_landmarks_is_their_extent() -> None:
    points = np.array([[3.0, 9.0, -5.0], [1.0, 4.0, 0.0], [2.0, 11.0, 9.0]])
    assert boxes.box_of(points) == (1.0, 4.0, 3.0, 11.0)
    assert boxes.longer_side((1.0, 4.0, 3.0, 11.0)) == 7.0


def test_iou_and_cover_of_a_box_inside_another() -> None:
    outer, inner = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 5.0, 5.0)
    assert boxes.iou(outer, inner) == pytest.approx(0.25)
    assert boxes.cover(outer, inner) == pytest.approx(1.0)
    assert boxes.iou(outer, (20.0, 0.0, 30.0, 10.0)) == 0


def test_boxes_show_one_face_when_they_share_more_than_half_of_the_smaller() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    assert boxes.same_face(box, (4.0, 0.0, 24.0, 20.0))
    assert not boxes.same_face(box, (6.0, 0.0, 26.0, 20.0))


def test_the_size_of_a_tracked_face_is_the_median_longer_side() -> None:
    track = np.array([[0, 0, 10, 4], [0, 0, 5, 30], [2, 2, 4, 22]], np.float32)
    assert boxes.face_px(track) == 20.0


def test_a_second_detectors_box_is_added_only_where_it_is_new() -> None:
    known = Detection((0.0, 0.0, 10.0, 10.0), 0.6)
    again, large = (
        Detection((1.0, 0.0, 11.0, 10.0), 0.9),
        Detection((0.0, 0.0, 20.0, 20.0), 0.8),
    )
    assert boxes.joined([known], [again, large]) == [large, known]


def test_merged_faces_on_their_head_stay_on_their_head() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    (one,) = boxes.merge([Detection(box, 0.8, 3.1), Detection(box, 0.8, -3.1)])
    assert abs(one.roll_rad) == pytest.approx(np.pi)
