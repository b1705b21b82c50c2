"""The source frame of every output frame, and the intervals in which a face is dubbed."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.runs import runs_of
from pipeline.tables.rows import FPS
from trainers.dubbing.alignment_tracks import AlignmentTrack

Longer = Literal["loop", "freeze", "cut"]
Shorter = Literal["cut", "keep"]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Output frames at 25 fps and the source frames that they show."""

    num_frames: int
    source_frames: int
    sound_frames: int
    """Output frames from here on have no sound, and are copied from the source."""
    longer: Longer

    def sources(self) -> NDArray[np.int64]:
        """Return the source frame of each output frame, (num_frames,).

        After the end of the video, `loop` plays it backwards and forwards (without repeating the
        first and last frame), `freeze` repeats the last frame.
        """
        frames, last = np.arange(self.num_frames), self.source_frames - 1
        if self.longer != "loop" or last == 0:
            return np.minimum(frames, last)
        there = frames % (2 * last)
        return np.minimum(there, 2 * last - there)


def timeline_of(
    source_frames: int, sound_s: Fraction, longer: Longer = "loop", shorter: Shorter = "cut"
) -> Timeline:
    """Determine the length of the output.

    Args:
        source_frames: of the video at 25 fps.
        sound_s: exact length of the sound; it may end within its last frame.
        longer: what is shown if the sound is longer than the video; `cut` cuts the sound.
        shorter: whether a video longer than the sound is cut, or continues in silence.
    """
    sound_frames = max(1, ceil(sound_s * FPS))
    longest = source_frames if longer == "cut" else sound_frames
    num_frames = min(sound_frames, longest)
    if sound_frames < source_frames and shorter == "keep":
        num_frames = source_frames
    return Timeline(num_frames, source_frames, min(sound_frames, num_frames), longer)


@dataclass(frozen=True, slots=True, eq=False)
class FaceInterval:
    """Consecutive output frames in which one face is dubbed."""

    face: int
    start: int
    end: int


def face_intervals(timeline: Timeline, tracks: Sequence[AlignmentTrack]) -> list[FaceInterval]:
    """Return the intervals of output frames with a face and with sound, sorted by start."""
    sources = timeline.sources()[: timeline.sound_frames]
    intervals = [one for track in tracks for one in _intervals_of(sources, track)]
    return sorted(intervals, key=lambda one: (one.start, one.face))


def _intervals_of(sources: NDArray[np.int64], track: AlignmentTrack) -> list[FaceInterval]:
    inside = (sources >= track.start_frame) & (sources < track.end_frame)
    at = np.where(inside, sources - track.start_frame, 0)
    dubbed = inside & track.usable()[at]
    return [FaceInterval(track.number, start, end) for start, end in runs_of(dubbed)]
