"""The U-Net's audio tokens per video frame, for audio of any length.

Audio of up to 30 s is encoded whole, as in training. Longer audio is encoded in chunks of 30 s that
overlap, of which only the inner 26 s are used: Whisper encodes its chunks independently, and
LatentSync has a visible jump where two of them meet (bytedance/LatentSync#151). Memory holds one
chunk.

Shape suffixes: F frames, T tokens per frame, D token width.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.tables.rows import FPS, SAMPLES_PER_FRAME
from trainers.frozen.audio_encoders import AudioEncoder

CHUNK_FRAMES = 30 * FPS
MARGIN_FRAMES = 2 * FPS
"""Context on either side of the part of a chunk that is used."""
INNER_FRAMES = CHUNK_FRAMES - 2 * MARGIN_FRAMES


class AudioConditioning:
    """Audio tokens of any range of frames, encoded on demand; fastest in order."""

    def __init__(self, encoder: AudioEncoder, audio: NDArray[np.int16]) -> None:
        """Take (N,) int16 mono 16 kHz; sample 0 is at the start of frame 0."""
        assert audio.dtype == np.int16
        self._encoder, self._audio = encoder, audio
        self._num_frames = -(-len(audio) // SAMPLES_PER_FRAME)
        self._chunk: tuple[int, int, Tensor] | None = None

    def tokens(self, start_frame: int, num_frames: int) -> Tensor:
        """Return (F, T, D) float32 of frames [start_frame, start_frame + num_frames).

        Frames after the end of the audio repeat its last step.
        """
        made: list[Tensor] = []
        frame, end = start_frame, start_frame + num_frames
        while frame < end:
            number = self._chunk_of(frame)
            first, features = self._features(number)
            until = end if number == self._last_chunk() else min(end, self._inner_end(number))
            made.append(self._encoder.windows(features, frame - first, until - frame))
            frame = until
        return torch.cat(made)

    def _last_chunk(self) -> int:
        if self._num_frames <= CHUNK_FRAMES:
            return 0
        beyond = self._num_frames - MARGIN_FRAMES - INNER_FRAMES
        return max(0, -(-(beyond - MARGIN_FRAMES) // INNER_FRAMES))

    def _inner_end(self, number: int) -> int:
        return MARGIN_FRAMES + (number + 1) * INNER_FRAMES

    def _chunk_of(self, frame: int) -> int:
        number = max(0, (frame - MARGIN_FRAMES) // INNER_FRAMES)
        return min(number, self._last_chunk())

    def _features(self, number: int) -> tuple[int, Tensor]:
        """Return the first frame of a chunk, and its features."""
        if self._chunk is None or self._chunk[0] != number:
            first = number * INNER_FRAMES
            begin, end = (n * SAMPLES_PER_FRAME for n in (first, first + CHUNK_FRAMES))
            audio = _padded(np.asarray(self._audio[begin:end]))
            (features,) = self._encoder.features([audio])
            self._chunk = number, first, features
        return self._chunk[1], self._chunk[2]


def _padded(audio: NDArray[Any]) -> NDArray[Any]:
    """Pad with silence to the two frames that a spectrogram needs."""
    missing = 2 * SAMPLES_PER_FRAME - len(audio)
    return np.pad(audio, (0, missing)) if missing > 0 else audio
