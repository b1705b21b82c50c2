"""Mel-frequency cepstral coefficients, the SyncNet judge's audio input, vectorised.

Equal to the defaults of python_speech_features at 16 kHz on the raw int16 samples: pre-emphasis
0.97, rectangular 25 ms windows every 10 ms, 512-point power spectrum, 26 triangles over 0-8 kHz,
13 cepstra of an orthonormal DCT-II, lifter 22, coefficient 0 replaced by the log of the energy.

Shape suffixes: N samples, M mfcc frames of 10 ms, F frequency bins, B mel bands, K cepstra.
Source: golden G1; mel scale of O'Shaughnessy (HTK form).
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from pipeline.tables.rows import SAMPLE_RATE_HZ

Doubles = NDArray[np.float64]

WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SIZE = 512
NUM_BANDS = 26
NUM_CEPSTRA = 13
LIFTER = 22
PRE_EMPHASIS = 0.97
EPSILON = float(np.finfo(np.float64).eps)
"""Replaces a power of exactly zero before the logarithm."""
BLOCK = 4096
"""Frames per transform: 40 s, so that memory does not grow with the clip."""


def mfcc(audio_N: NDArray[np.int16]) -> Doubles:
    """Return (M, 13) cepstra, M = 1 + ceil((N - 400) / 160) and at least 1.

    Args:
        audio_N: 16 kHz mono; the last window is zero-padded.
    Raises:
        ValueError: no sample at all.
    """
    return np.concatenate([_cepstra(windows) for windows in _window_blocks(audio_N)])


def log_bands(audio_N: NDArray[np.int16]) -> Doubles:
    """Return (M, 26) logarithms of the mel bands' power, before the cepstra's transform.

    Args:
        audio_N: 16 kHz mono; the last window is zero-padded.
    Raises:
        ValueError: no sample at all.
    """
    blocks = [_bands(_power(windows)) for windows in _window_blocks(audio_N)]
    return np.asarray(np.log(np.concatenate(blocks)))


def num_frames(num_samples: int) -> int:
    """Return how many windows cover the samples; the last one may be partly empty."""
    return 1 + max(0, -(-(num_samples - WINDOW_SAMPLES) // HOP_SAMPLES))


def _emphasised(audio_N: NDArray[np.int16]) -> Doubles:
    samples = audio_N.astype(np.float64)
    samples[1:] -= PRE_EMPHASIS * audio_N[:-1]
    return samples


def _window_blocks(audio_N: NDArray[np.int16]) -> Iterator[Doubles]:
    """Yield the windows of the samples, (at most BLOCK, 400) at a time."""
    if not len(audio_N):
        raise ValueError("no sound: the cepstra need at least one sample")
    samples = _emphasised(audio_N)
    frames = num_frames(len(audio_N))
    short = (frames - 1) * HOP_SAMPLES + WINDOW_SAMPLES - len(samples)
    padded = np.pad(samples, (0, max(0, short)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    for first in range(0, frames, BLOCK):
        yield windows[first : min(first + BLOCK, frames)]


def _power(windows: Doubles) -> Doubles:
    return np.asarray(np.abs(np.fft.rfft(windows, FFT_SIZE)) ** 2 / FFT_SIZE)


def _bands(power_MF: Doubles) -> Doubles:
    return _no_zeros(np.einsum("mf,bf->mb", power_MF, _mel_filters()))


def _cepstra(windows: Doubles) -> Doubles:
    power_MF = _power(windows)
    bands_MB = _bands(power_MF)
    cepstra_MK = dct(np.log(bands_MB), type=2, axis=1, norm="ortho")[:, :NUM_CEPSTRA] * _lift()
    cepstra_MK[:, 0] = np.log(_no_zeros(power_MF.sum(axis=1)))
    return np.asarray(cepstra_MK)


def _no_zeros(power: Doubles) -> Doubles:
    return np.where(power == 0, EPSILON, power)


def _lift() -> Doubles:
    return np.asarray(1 + LIFTER / 2 * np.sin(np.pi * np.arange(NUM_CEPSTRA) / LIFTER))


@cache
def _mel_filters() -> Doubles:
    """Return (26, 257): triangles whose corners lie on whole bins, equally spaced in mel."""
    top = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    hz = 700 * (10 ** (np.linspace(0, top, NUM_BANDS + 2) / 2595) - 1)
    corner = np.floor((FFT_SIZE + 1) * hz / SAMPLE_RATE_HZ)
    low, peak, high = corner[:-2, None], corner[1:-1, None], corner[2:, None]
    bins = np.arange(FFT_SIZE // 2 + 1)
    rise, fall = (bins - low) / (peak - low), (high - bins) / (high - peak)
    return np.asarray(np.maximum(0, np.minimum(rise, fall)))
