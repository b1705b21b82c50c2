"""The tokens that the network hears with each frame, of a sound of any length.

Sound up to 30 s is encoded as a whole, as in training. Longer sound is encoded in pieces of 30 s of
which only the inner 26 s are used: Whisper's own pieces know nothing of each other, and LatentSync
shows a jump where two of them meet (bytedance/LatentSync#151). Memory holds one piece.

Shape suffixes: F frames, T tokens, D their width.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.tables.rows import FPS, SAMPLES_PER_FRAME
from trainers.frozen.whisper import WhisperFeatures, whisper_windows

PIECE_FRAMES = 30 * FPS
MARGIN_FRAMES = 2 * FPS
"""Heard by the encoder on either side of what is used of a piece."""
INNER_FRAMES = PIECE_FRAMES - 2 * MARGIN_FRAMES


class Hearing:
    """Tokens of any stretch of frames, encoded when they are asked for; best asked in order."""

    def __init__(self, whisper: WhisperFeatures, audio: NDArray[np.int16]) -> None:
        """Take (N,) int16 mono 16 kHz; sample 0 belongs to the beginning of frame 0."""
        assert audio.dtype == np.int16
        self._whisper, self._audio = whisper, audio
        self._num_frames = -(-len(audio) // SAMPLES_PER_FRAME)
        self._piece: tuple[int, int, Tensor] | None = None

    def tokens(self, start_frame: int, num_frames: int) -> Tensor:
        """Return (F, T, D) float32 of frames [start_frame, start_frame + num_frames).

        Frames behind the end of the sound repeat its last step.
        """
        made: list[Tensor] = []
        frame, end = start_frame, start_frame + num_frames
        while frame < end:
            number = self._piece_of(frame)
            first, features = self._features(number)
            until = end if number == self._last_piece() else min(end, self._inner_end(number))
            made.append(whisper_windows(features, frame - first, until - frame))
            frame = until
        return torch.cat(made)

    def _last_piece(self) -> int:
        if self._num_frames <= PIECE_FRAMES:
            return 0
        beyond = self._num_frames - MARGIN_FRAMES - INNER_FRAMES
        return max(0, -(-(beyond - MARGIN_FRAMES) // INNER_FRAMES))

    def _inner_end(self, number: int) -> int:
        return MARGIN_FRAMES + (number + 1) * INNER_FRAMES

    def _piece_of(self, frame: int) -> int:
        number = max(0, (frame - MARGIN_FRAMES) // INNER_FRAMES)
        return min(number, self._last_piece())

    def _features(self, number: int) -> tuple[int, Tensor]:
        """Return the first frame of a piece, and its features."""
        if self._piece is None or self._piece[0] != number:
            first = number * INNER_FRAMES
            begin, end = (n * SAMPLES_PER_FRAME for n in (first, first + PIECE_FRAMES))
            sound = _long_enough(np.asarray(self._audio[begin:end]))
            (features,) = self._whisper.features([sound])
            self._piece = number, first, features
        return self._piece[1], self._piece[2]


def _long_enough(sound: NDArray[Any]) -> NDArray[Any]:
    """Fill up with silence to the two frames that a spectrogram needs."""
    missing = 2 * SAMPLES_PER_FRAME - len(sound)
    return np.pad(sound, (0, missing)) if missing > 0 else sound
