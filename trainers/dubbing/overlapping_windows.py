"""How a run of consecutive frames is cut into windows that overlap and fade into each other.

All windows are equally long, because the U-Net's norms look at a whole window: the last one is
moved back to end with the run instead of being shortened. A run shorter than one window gets one
window, whose place behind the run is filled with the run's last frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Window:
    """One call of the network, in frames counted from the run's first."""

    start: int
    end: int
    """At most the run's length; less than `start` + the window's length only in a short run."""
    counts_from: int
    """The first frame on which this window has a say."""
    overlap: int
    """Frames over which this window takes over from the one before it, and hands over."""
    is_last: bool

    def weights(self) -> NDArray[np.float32]:
        """Return the share of this window in each of its frames, (end - start,).

        The shares of all windows add up to 1 on every frame. Two windows fade linearly, the first
        frame of a fade has 1 / (overlap + 1) of the new one.
        """
        frames = np.arange(self.start, self.end)
        shares = np.ones(len(frames))
        if self.start > 0:
            shares = np.clip((frames - self.counts_from + 1) / (self.overlap + 1), 0, 1)
        if not self.is_last:
            shares = np.minimum(shares, (self.end - frames) / (self.overlap + 1))
        return shares.astype(np.float32)


def windows_of(num_frames: int, length: int, overlap: int) -> Sequence[Window]:
    """Cover a run of `num_frames` with windows of `length` frames.

    Args:
        overlap: frames that two neighbours share, 0 to length // 2.

    Raises:
        ValueError: an overlap that does not fit.
    """
    if not 0 <= overlap <= length // 2:
        raise ValueError(f"overlap of {overlap} frames; a window of {length} takes 0 to half of it")
    starts = list(range(0, max(num_frames - length, 0) + 1, length - overlap))
    if starts[-1] + length < num_frames:
        starts.append(num_frames - length)
    ends = [min(start + length, num_frames) for start in starts]
    takes_over = [0, *(end - overlap for end in ends[:-1])]
    return [
        Window(start, end, counts_from, overlap, end == num_frames)
        for start, end, counts_from in zip(starts, ends, takes_over, strict=True)
    ]


def first_window_of(windows: Sequence[Window], frame: int) -> int:
    """Return the number of the first window that has a say on `frame`."""
    return next(number for number, window in enumerate(windows) if window.end > frame)
