"""Tracks are divided so that no frame is lost."""

import pytest

from pipeline.faces.segments import ready_lengths

MIN, MAX = 75, 250


@pytest.mark.parametrize("length", [*range(1, 900), 90_000])
def test_no_frame_is_lost_and_every_clip_is_within_the_limits(length: int) -> None:
    lengths = ready_lengths(length, True, MIN, MAX)
    assert sum(lengths) == length
    if length >= MIN:
        assert all(MIN <= one <= MAX for one in lengths)
    else:
        assert lengths == [length]


def test_a_growing_track_gives_the_same_clips_as_the_whole() -> None:
    for total in (74, 75, 250, 251, 324, 325, 326, 574, 575, 576, 1000):
        waiting, clips = 0, []
        for _ in range(total):
            waiting += 1
            ready = ready_lengths(waiting, False, MIN, MAX)
            clips += ready
            waiting -= sum(ready)
        clips += ready_lengths(waiting, True, MIN, MAX)
        assert clips == ready_lengths(total, True, MIN, MAX)


def test_a_clip_is_cut_as_soon_as_the_rest_is_a_clip_of_its_own() -> None:
    assert ready_lengths(MAX + MIN - 1, False, MIN, MAX) == []
    assert ready_lengths(MAX + MIN, False, MIN, MAX) == [MAX]


def test_a_rest_between_maximum_and_maximum_plus_minimum_is_halved() -> None:
    assert ready_lengths(301, True, MIN, MAX) == [151, 150]


def test_nothing_gives_nothing() -> None:
    assert ready_lengths(0, True, MIN, MAX) == []
