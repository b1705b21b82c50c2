"""Correcting the AV offset in samples, without a second encode of the picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.tables.rows import SAMPLES_PER_FRAME


@dataclass(frozen=True, slots=True)
class CommonInterval:
    """The frames of video and audio that remain after the correction: equally long, in sync."""

    first_video_frame: int
    first_audio_frame: int
    num_frames: int

    def audio(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return the samples of the remaining audio frames."""
        start = self.first_audio_frame * SAMPLES_PER_FRAME
        return samples[start : start + self.num_frames * SAMPLES_PER_FRAME]


def common_interval(num_frames: int, offset_frames: int) -> CommonInterval:
    """Return the interval that both streams share once the offset is taken out.

    Video frame j belongs to the audio `offset_frames` earlier in the stream: a positive offset
    (audio early) delays the audio, so the video loses its first frames and the audio its last.

    Raises:
        ValueError: the offset is longer than the clip.
    """
    if abs(offset_frames) >= num_frames:
        raise ValueError(f"offset {offset_frames} of a clip of {num_frames} frames")
    first = max(offset_frames, 0)
    return CommonInterval(first, first - offset_frames, num_frames - abs(offset_frames))
