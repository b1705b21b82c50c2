"""Audio tokens without a network: one token per video frame, a window of the log-mel spectrogram.

20 bands by 13 columns of 25 ms, 150 ms to either side of the middle of the frame, 260 numbers. The
spectrogram is StableSyncNet's (trainers/audio/mel.py), four bands averaged to one and one column in
two taken, scaled to about unit deviation. It is no stand-in: it hears what it is given.

Shape suffixes: N samples, T frames, S columns, D = 260.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.tables.rows import SAMPLES_PER_FRAME
from trainers.audio.mel import HOP_SAMPLES, NUM_MELS, mel_columns

MEL = "mel"
"""Its name in params.yaml."""
BANDS, COLUMNS = 20, 13
COLUMN_SAMPLES = 2 * HOP_SAMPLES
MEAN, DEVIATION = -1.6, 1.25
"""Of the spectrogram of the demo's speech (30 clips); silence is -1.9 after scaling."""
FRAMES_AT_ONCE = 250
"""Bounds the memory of long sounds."""


class MelTokens(nn.Module):
    """The encoder `mel`; has no weights, and computes on the CPU."""

    name: str = MEL
    is_stand_in: bool = False
    num_layers: int = 1
    width: int = BANDS * COLUMNS

    @property
    def sha256(self) -> Mapping[str, str]:
        """Digests of its files: none."""
        return {}

    def features(self, clips: Sequence[NDArray[Any]], chunks_at_once: int = 16) -> list[Tensor]:
        """Return the tokens (T, 1, 260) of each clip, float32, one per frame of 640 samples.

        Args:
            clips: 16 kHz mono, int16 or float with full scale 1. Beyond their ends lies silence.
        """
        return [torch.from_numpy(_tokens(clip))[:, None] for clip in clips]

    def windows(self, features_T1D: Tensor, start_frame: int, num_frames: int = 16) -> Tensor:
        """Return the tokens (F, 1, 260) of frames; those after the end repeat the last one."""
        return mel_token_windows(features_T1D, start_frame, num_frames)


def mel_token_windows(features_T1D: Tensor, start_frame: int, num_frames: int = 16) -> Tensor:
    """Return the tokens (F, 1, 260) of frames; those after the end repeat the last one."""
    frames = torch.arange(start_frame, start_frame + num_frames)
    return features_T1D[frames.clamp(0, len(features_T1D) - 1)]


def _tokens(audio_N: NDArray[Any]) -> NDArray[np.float32]:
    frames = max(1, -(-len(audio_N) // SAMPLES_PER_FRAME))
    steps = (np.arange(COLUMNS) - COLUMNS // 2) * COLUMN_SAMPLES
    middles = np.arange(frames) * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2
    made = np.empty((frames, BANDS * COLUMNS), np.float32)
    for first in range(0, frames, FRAMES_AT_ONCE):
        part = middles[first : first + FRAMES_AT_ONCE]
        mel_MS = mel_columns(audio_N, (part[:, None] + steps).reshape(-1))
        bands = mel_MS.reshape(BANDS, NUM_MELS // BANDS, len(part), COLUMNS).mean(axis=1)
        tokens = bands.transpose(1, 0, 2).reshape(len(part), -1)
        made[first : first + len(part)] = (tokens - MEAN) / DEVIATION
    return made
