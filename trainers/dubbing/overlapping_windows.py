"""Overlapping windows over an interval of frames, cross-faded where they overlap.

All windows have the same length, because the U-Net normalizes over a whole window: the last one is
moved back to end with the interval instead of being shortened. An interval shorter than one window
gets one window, padded with the interval's last frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BlendedWindow:
    """Frames of one call of the network, counted from the start of the interval."""

    start: int
    end: int
    """At most the interval's length; below `start` + window length only in a short interval."""
    fade_start: int
    """The first frame in which this window has a weight."""
    overlap: int
    """Frames of the cross-fade with the window before and after."""
    is_last: bool

    def weights(self) -> NDArray[np.float32]:
        """Return the weight of this window in each of its frames, (end - start,).

        The weights of all windows add up to 1 in every frame. The fade is linear; in its first
        frame the new window has 1 / (overlap + 1).
        """
        frames = np.arange(self.start, self.end)
        weights = np.ones(len(frames))
        if self.start > 0:
            weights = np.clip((frames - self.fade_start + 1) / (self.overlap + 1), 0, 1)
        if not self.is_last:
            weights = np.minimum(weights, (self.end - frames) / (self.overlap + 1))
        return weights.astype(np.float32)


def overlapping_windows(num_frames: int, length: int, overlap: int) -> Sequence[BlendedWindow]:
    """Cover an interval of `num_frames` with windows of `length` frames.

    Args:
        overlap: frames that two neighbours share, 0 to length // 2.

    Raises:
        ValueError: the overlap is out of range.
    """
    if not 0 <= overlap <= length // 2:
        raise ValueError(f"overlap of {overlap} frames; a window of {length} takes 0 to half of it")
    starts = list(range(0, max(num_frames - length, 0) + 1, length - overlap))
    if starts[-1] + length < num_frames:
        starts.append(num_frames - length)
    ends = [min(start + length, num_frames) for start in starts]
    fade_starts = [0, *(end - overlap for end in ends[:-1])]
    return [
        BlendedWindow(start, end, fade_start, overlap, end == num_frames)
        for start, end, fade_start in zip(starts, ends, fade_starts, strict=True)
    ]


def consecutive_windows(num_frames: int, length: int) -> Sequence[BlendedWindow]:
    """Cover an interval with windows that begin where the one before ends.

    For models that go on from their last frame: the last window is padded, not moved back.
    """
    starts = range(0, max(num_frames, 1), length)
    ends = [min(start + length, num_frames) for start in starts]
    return [
        BlendedWindow(start, end, start, 0, end == num_frames)
        for start, end in zip(starts, ends, strict=True)
    ]


def shared_by_windows(num_frames: int, length: int, overlap: int) -> NDArray[np.bool_]:
    """Return whether each frame of an interval belongs to a cross-fade, (T,).

    Args:
        num_frames: T.
        length: of the windows.
        overlap: as in `overlapping_windows`; 0 marks the first frame of every later window.
    """
    shared = np.zeros(num_frames, np.bool_)
    for window in overlapping_windows(num_frames, length, overlap)[1:]:
        shared[window.fade_start : window.fade_start + max(overlap, 1)] = True
    return shared


def first_window_covering(windows: Sequence[BlendedWindow], frame: int) -> int:
    """Return the number of the first window that contains `frame`."""
    return next(number for number, window in enumerate(windows) if window.end > frame)
