"""Presentation times of a video's frames, and which frames a 25 fps grid shows.

Frame 0 of the grid is shown together with the first frame the decoder gives; grid frame k is the
source frame whose presentation time is nearest to start + k / 25 s, the earlier one on a tie. Over
a hole the frame before it is held until half a usual gap before the frame behind it.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.packets import PacketTimes
from pipeline.tables.rows import FPS

MAX_GAP_S = 12 * 3600
"""A longer gap between two frames is treated as broken timestamps, not as a still image."""
HELD_GAPS = 2
"""A gap of more than so many usual ones is a hole: the frame before it is held."""
MIN_GAP_S = Fraction(1, 1000)
"""A shorter stated duration counts as none: some containers store such values for unknown."""


@dataclass(frozen=True, slots=True)
class VideoClock:
    """Presentation times of one video stream, read from its packets.

    timestamps: (T,) int64, strictly increasing, in units of `time_base`; the first one belongs to
    the first frame that the decoder gives.
    """

    time_base: Fraction
    timestamps: NDArray[np.int64]
    end: int
    """When the last frame stops being shown, in units of `time_base`."""
    by_order: bool
    """The container stores no presentation times (AVI, bare streams): the i-th frame that the
    decoder gives is shown at timestamps[i], the i-th decoding time. FFmpeg's guess of pts is
    useless there: with B-frames it is out of order."""
    usual: int
    """The usual distance of two frames in units of `time_base`, rounded; 0 for one frame."""

    @property
    def start(self) -> int:
        """Presentation time of the first frame, in units of `time_base`."""
        return int(self.timestamps[0])

    @property
    def start_s(self) -> float:
        """Presentation time of the first frame in seconds of the file's own time."""
        return float(self.start * self.time_base)

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return float((self.end - self.start) * self.time_base)

    @property
    def num_frames(self) -> int:
        """Frames on the 25 fps grid: the duration times 25, rounded half up, at least 1."""
        grid = (self.end - self.start) * self.time_base * FPS
        return max(1, int(grid + Fraction(1, 2)))

    def first_grid_frame(self, previous: int, current: int) -> int:
        """Return the first grid frame that shows `current` and not `previous` any more.

        Args:
            previous, current: neighbouring presentation times in units of `time_base`.
        """
        hole = self.usual and current - previous > HELD_GAPS * self.usual
        earlier = current - self.usual if hole else previous
        twice, base = earlier + current - 2 * self.start, self.time_base
        return twice * base.numerator * FPS // (2 * base.denominator) + 1

    @property
    def usual_grid_frames(self) -> int:
        """How many grid frames may show one source frame before it counts as held, at least 1."""
        return max(1, ceil(HELD_GAPS * self.usual * self.time_base * FPS))

    def typical_gap(self) -> float:
        """Return the usual distance of two frames in units of `time_base`; 0.0 for one frame."""
        return _typical_gap(self.timestamps)

    def is_variable(self) -> bool:
        """Return whether a gap differs from the usual one by more than rounding."""
        gaps = np.diff(self.timestamps)
        return bool(len(gaps)) and not bool(_is_regular(gaps).all())


def _typical_gap(timestamps: NDArray[np.int64]) -> float:
    """Return the mean of the gaps near the median.

    Rounded timestamps (29.97 fps in whole milliseconds: 33, 33, 34) have a median that is no
    frame rate.
    """
    gaps = np.diff(timestamps)
    return float(gaps[_is_regular(gaps)].mean()) if len(gaps) else 0.0


def _is_regular(gaps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each gap whether it is within 10 % or 1.5 ticks of the (lower) median."""
    median = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    return np.asarray(np.abs(gaps - median) <= max(0.1 * median, 1.5))


def make_clock(video: av.VideoStream, times: PacketTimes, first: int | None) -> VideoClock:
    """Return the clock of a stream.

    Args:
        times: of its packets.
        first: presentation time of the first frame that the decoder gives; None where frames are
            shown in the order in which they come.

    Raises:
        DecodeError: timestamps that jump by more than MAX_GAP_S.
    """
    time_base = Fraction(video.time_base or Fraction(1, FPS))
    rate = Fraction(video.guessed_rate or FPS)
    frame_ticks = max(1, round(1 / ((rate if rate <= 1 / MIN_GAP_S else FPS) * time_base)))
    stamps = times.dts if first is None else times.pts
    if stamps is None:
        stamps = np.arange(len(times.durations), dtype=np.int64) * frame_ticks
    end, duration = int(stamps.max()), int(times.durations[int(stamps.argmax())])
    timestamps = np.unique(stamps if first is None else np.append(stamps[stamps > first], first))
    usual = round(_typical_gap(timestamps))
    jump_s = float(np.diff(timestamps).max(initial=0) * time_base)
    if jump_s > MAX_GAP_S:
        raise DecodeError(f"timestamps jump by {jump_s:.0f} s, more than {MAX_GAP_S} s")
    if first is None or not MIN_GAP_S <= duration * time_base <= MAX_GAP_S:
        duration = usual or frame_ticks
    return VideoClock(time_base, timestamps, end + duration, first is None, usual)
