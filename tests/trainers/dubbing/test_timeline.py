"""How long the output is, what it shows when, and where faces are dubbed."""

from fractions import Fraction

import numpy as np
import pytest

from trainers.dubbing.alignment_tracks import AlignmentTrack
from trainers.dubbing.timeline import face_intervals, timeline_of


def track(start, detected, number=0):
    count = len(detected)
    boxes = np.tile(np.array([0, 0, 50, 50], np.float32), (count, 1))
    return AlignmentTrack(
        number, 0, start, np.zeros((count, 4, 2)), boxes, np.array(detected, bool)
    )


@pytest.mark.parametrize(
    ("longer", "shown"),
    [
        ("loop", [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]),
        ("freeze", [0, 1, 2, 3, 3, 3, 3, 3, 3, 3]),
        ("cut", [0, 1, 2, 3]),
    ],
)
def test_sound_that_is_longer_than_the_video(longer, shown):
    assert timeline_of(4, Fraction(10, 25), longer).sources().tolist() == shown


def test_one_picture_only_can_be_looped():
    assert timeline_of(1, Fraction(3, 25), "loop").sources().tolist() == [0, 0, 0]


@pytest.mark.parametrize(("shorter", "frames"), [("cut", 3), ("keep", 10)])
def test_sound_that_is_shorter_than_the_video(shorter, frames):
    timeline = timeline_of(10, Fraction(5, 2) / 25, shorter=shorter)
    assert timeline.num_frames == frames
    assert face_intervals(timeline, [track(0, [True] * 10)])[0].end == 3, "silence is not dubbed"


def test_the_last_frame_may_be_covered_in_part():
    assert timeline_of(100, Fraction(44_101, 44_100)).num_frames == 26


def test_intervals_follow_the_video_back_and_forth():
    timeline = timeline_of(6, Fraction(16, 25))
    intervals = face_intervals(timeline, [track(3, [True] * 3)])
    assert [(one.start, one.end) for one in intervals] == [(3, 8), (13, 16)]


def test_a_short_gap_is_bridged_and_a_long_one_is_left_alone():
    detected = [True] * 3 + [False] * 5 + [True] * 3 + [False] * 6 + [True]
    intervals = face_intervals(timeline_of(40, Fraction(40, 25)), [track(10, detected)])
    assert [(one.start, one.end) for one in intervals] == [(10, 21), (27, 28)]
