"""Which faces are dubbed."""

import numpy as np
import pytest

from pipeline.errors import SourceError
from trainers.dubbing.alignment_tracks import AlignmentTrack
from trainers.dubbing.face_selection import face_listing, select_faces


def face(number, scene, start, end, px):
    count = end - start
    boxes = np.tile(np.array([0, 0, px, px], np.float32), (count, 1))
    detected = np.ones(count, bool)
    return AlignmentTrack(number, scene, start, np.zeros((count, 4, 2)), boxes, detected)


FACES = [
    face(0, 0, 0, 50, 60),
    face(1, 0, 0, 50, 100),
    face(2, 0, 60, 70, 70),
    face(3, 0, 60, 70, 40),
    face(4, 1, 70, 90, 30),
    face(5, 0, 52, 58, 40),
]


def numbers(selection):
    return [one.number for one in select_faces(FACES, selection)]


def test_the_main_face_is_the_largest_of_every_shot_and_small_faces_do_not_replace_it():
    assert numbers("main") == [1, 2, 4]


def test_a_small_face_that_stays_long_beats_a_large_one_that_passes_by():
    selected = select_faces([face(0, 0, 0, 500, 60), face(1, 0, 5, 9, 90)], "main")
    assert [one.number for one in selected] == [0]


def test_faces_can_be_named_or_all_taken():
    assert numbers((3, 0)) == [0, 3]
    assert numbers("all") == [0, 1, 2, 3, 4, 5]


def test_a_number_that_no_face_has_is_an_error_that_lists_the_faces():
    with pytest.raises(
        SourceError, match=r"--face 7: no such face(.|\n)*face 1: shot 0, 0.00-2.00"
    ):
        select_faces(FACES, (7,))


def test_the_listing_marks_what_is_selected():
    lines = face_listing(FACES[:2], FACES[:1]).splitlines()
    assert lines == [
        "* face 0: shot 0, 0.00-2.00 s, 60 px",
        "  face 1: shot 0, 0.00-2.00 s, 100 px",
    ]
