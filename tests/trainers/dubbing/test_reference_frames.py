"""The reference of a window: other frames of the same face."""

import pytest

from trainers.dubbing.overlapping_windows import overlapping_windows
from trainers.dubbing.reference_frames import frames_apart


@pytest.mark.parametrize("num_frames", [2, 15, 16, 17, 31, 32, 33, 47, 48, 75, 200])
def test_no_frame_is_its_own_reference_and_none_lies_outside(num_frames):
    for window in overlapping_windows(num_frames, 16, 4):
        chosen = list(frames_apart(window.start, window.end, 16, num_frames))
        own = range(window.start, window.end)
        assert len(chosen) == len(own)
        assert all(0 <= frame < num_frames for frame in chosen)
        assert all(one != two for one, two in zip(chosen, own, strict=True))


@pytest.mark.parametrize("num_frames", [48, 75, 200])
def test_from_three_windows_on_a_reference_shares_no_frame_with_its_window(num_frames):
    for window in overlapping_windows(num_frames, 16, 4):
        chosen = set(frames_apart(window.start, window.end, 16, num_frames))
        assert not chosen & set(range(window.start, window.end))


def test_only_the_neighbour_is_needed_so_memory_does_not_grow():
    for window in overlapping_windows(1000, 16, 4):
        chosen = frames_apart(window.start, window.end, 16, 1000)
        assert all(abs(frame - window.start) <= 32 for frame in chosen)
