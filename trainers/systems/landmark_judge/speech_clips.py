"""Speech clips of the landmark judge: mouth shapes and log-mels of one clip, and cuts of both.

Shape suffixes: T frames, L landmarks, C coordinates, N audio samples.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.landmark.features import STEPS_PER_FRAME, log_mel, mouth_shape
from pipeline.tables.rows import SAMPLES_PER_FRAME

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpeechClip:
    """One clip with the features that training needs."""

    clip_id: str
    name: str
    """Stem of the video file the clip was cut from."""
    fold: str
    """Clips of one fold are left out together."""
    shape: Floats
    """(T, 121) mouth shape, not centred."""
    mel: Floats
    """(4 T, 40) log-mel, not normalised."""
    offset_frames: float = 0.0
    """Audio lead that the label says, in quarters of a frame (one mel step): the sound of time
    t - offset belongs to the picture of time t."""

    @property
    def num_frames(self) -> int:
        """Frames at 25 fps."""
        return len(self.shape)


def speech_clip(
    clip_id: str, name: str, fold: str, landmarks_TLC: NDArray[Any], audio_N: NDArray[Any]
) -> SpeechClip:
    """Compute both features over the common length of picture and sound."""
    frames = min(len(landmarks_TLC), len(audio_N) // SAMPLES_PER_FRAME)
    shape = mouth_shape(landmarks_TLC[:frames])
    return SpeechClip(clip_id, name, fold, shape, log_mel(audio_N, frames))


def in_sync(clip: SpeechClip) -> SpeechClip:
    """Cut picture and sound so that the labelled offset becomes zero, to a quarter of a frame."""
    lead = round(STEPS_PER_FRAME * clip.offset_frames)
    first = max(0, -(-lead // STEPS_PER_FRAME))
    sound = STEPS_PER_FRAME * first - lead
    frames = min(clip.num_frames - first, (len(clip.mel) - sound) // STEPS_PER_FRAME)
    return segment(clip, first, sound, frames)


def segment(clip: SpeechClip, first_frame: int, first_step: int, frames: int) -> SpeechClip:
    """Take `frames` frames of picture and sound from where each begins; the label becomes 0."""
    steps = slice(first_step, first_step + STEPS_PER_FRAME * frames)
    shape = clip.shape[first_frame : first_frame + frames]
    return replace(clip, shape=shape, mel=clip.mel[steps], offset_frames=0.0)
