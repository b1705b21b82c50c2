"""Which source frame every output frame shows, and on which stretches a face is painted."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.tables.rows import FPS
from trainers.dubbing.face_tracks import FaceTrace

Longer = Literal["loop", "freeze", "cut"]
Shorter = Literal["cut", "keep"]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Output frames at 25 fps and where their pictures come from."""

    num_frames: int
    source_frames: int
    sound_frames: int
    """Output frames from here on have no sound, and are passed through."""
    longer: Longer

    def sources(self) -> NDArray[np.int64]:
        """Return the source frame that each output frame shows, (num_frames,).

        Behind the end of the video `loop` goes back and forth (the first and the last picture are
        not shown twice in a row), `freeze` stays on the last picture.
        """
        frames, last = np.arange(self.num_frames), self.source_frames - 1
        if self.longer != "loop" or last == 0:
            return np.minimum(frames, last)
        there = frames % (2 * last)
        return np.minimum(there, 2 * last - there)


def timeline_of(
    source_frames: int, sound_s: Fraction, longer: Longer = "loop", shorter: Shorter = "cut"
) -> Timeline:
    """Decide how long the output is.

    Args:
        source_frames: of the video at 25 fps.
        sound_s: exact length of the sound; its last frame may be heard in part only.
        longer: what is shown when the sound is longer than the video; `cut` ends both together.
        shorter: whether a video that is longer than the sound ends with it, or goes on in silence.
    """
    sound_frames = max(1, ceil(sound_s * FPS))
    longest = source_frames if longer == "cut" else sound_frames
    num_frames = min(sound_frames, longest)
    if sound_frames < source_frames and shorter == "keep":
        num_frames = source_frames
    return Timeline(num_frames, source_frames, min(sound_frames, num_frames), longer)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Consecutive output frames on which one face is painted."""

    face: int
    start: int
    end: int


def runs_of(timeline: Timeline, traces: Sequence[FaceTrace]) -> list[Run]:
    """Return the stretches of output frames with a face and with sound, by their beginning."""
    sources = timeline.sources()[: timeline.sound_frames]
    runs = [run for trace in traces for run in _runs_of(sources, trace)]
    return sorted(runs, key=lambda run: (run.start, run.face))


def _runs_of(sources: NDArray[np.int64], trace: FaceTrace) -> list[Run]:
    inside = (sources >= trace.start_frame) & (sources < trace.end_frame)
    at = np.where(inside, sources - trace.start_frame, 0)
    painted = inside & trace.paintable()[at]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], painted, [False]])))
    return [Run(trace.number, int(start), int(end)) for start, end in edges.reshape(-1, 2)]
