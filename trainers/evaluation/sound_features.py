"""What a frame's sound tells: 20 mel bands at 13 moments around the middle of the frame.

Shape suffixes: T frames, N samples, M mel bands, S columns, K = 260 numbers per frame.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.tables.rows import SAMPLES_PER_FRAME
from trainers.audio.mel import HOP_SAMPLES, NUM_MELS, mel_window
from trainers.audio.mel_windows import MelWindows

Floats = NDArray[np.float32]

BANDS = 20
"""Each the mean of 4 of the 80."""
COLUMNS = 13
COLUMN_HOPS = 2
"""25 ms from one column to the next: -150 ... +150 ms."""
_WINDOW_FRAMES = 8
"""Frames whose mel window has the 25 columns of which every second is taken."""
_PHASES = 5


def sound_features(audio_N: NDArray[np.int16]) -> Floats:
    """Return (T, 260) for T * 640 samples; silence lies before and behind the clip."""
    frames = len(audio_N) // SAMPLES_PER_FRAME
    before = HOP_SAMPLES * COLUMN_HOPS * (COLUMNS // 2) - SAMPLES_PER_FRAME // 2
    behind = SAMPLES_PER_FRAME * _WINDOW_FRAMES - before
    padded = np.pad(audio_N[: frames * SAMPLES_PER_FRAME], (before, behind))
    total = frames + _WINDOW_FRAMES
    grids = [mel_window(padded, k, total - k).astype(np.float32) for k in range(_PHASES)]
    windows = MelWindows(grids, "exact")
    return np.stack([_features(windows.window(k, _WINDOW_FRAMES)) for k in range(frames)])


def _features(window_MS: Floats) -> Floats:
    columns = window_MS[:, : COLUMNS * COLUMN_HOPS : COLUMN_HOPS]
    bands = columns.reshape(BANDS, NUM_MELS // BANDS, COLUMNS).mean(axis=1)
    return np.asarray(bands.ravel(), np.float32)
