"""The mel spectrogram of StableSyncNet's audio input, and its windows per video frame.

80 bands from 55 to 7600 Hz, 80 columns per second, decibels mapped to -4 ... 4. Column j of a
spectrogram is centred on sample 200 j; a window of F frames has ceil(3.2 F) columns.

Start of a window: frame f starts at sample 640 f, which is column 3.2 f. LatentSync slices whole
columns of one spectrogram and rounds down (`compat`), so that the audio is 0, 2.5, 5, 7.5 or 10 ms
early, depending on f modulo 5. The default (`exact`) centres the first column on sample 640 f. Both
are equal at every fifth frame.

Shape suffixes: N samples, S mel columns, M mel bands, K frequencies.
Source: parameters of LatentSync's mel spectrogram; mel scale of Slaney's Auditory Toolbox (1998).
"""

from functools import cache
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.tables.rows import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

Doubles = NDArray[np.float64]
WindowStart = Literal["exact", "compat"]

NUM_MELS = 80
HOP_SAMPLES = 200
FFT_SAMPLES = 800
"""Length of the Hann window and of the Fourier transform: 50 ms."""
MEL_RANGE_HZ = (55.0, 7600.0)
PRE_EMPHASIS = 0.97
MIN_MAGNITUDE = 1e-5
REFERENCE_DB = 20.0
RANGE_DB = 100.0
MAX_VALUE = 4.0
"""Silence is -4."""

LINEAR_HZ_PER_MEL = 200 / 3
LOG_FROM_HZ = 1000.0
LOG_STEP = np.log(6.4) / 27
"""Slaney's scale: linear up to 1000 Hz, then 27 steps for every factor of 6.4."""


def mel_spectrogram(audio_N: NDArray[Any]) -> Doubles:
    """Return the mel spectrogram (80, 1 + N // 200) of a whole clip, low to high.

    Args:
        audio_N: 16 kHz mono, int16 or float with full scale 1. Padded with zeros.
    """
    return _columns(audio_N, 0, 1 + len(audio_N) // HOP_SAMPLES)


def mel_window(
    audio_N: NDArray[Any], start_frame: int, num_frames: int, start: WindowStart = "exact"
) -> Doubles:
    """Return the mel spectrogram (80, ceil(3.2 F)) of F video frames, without computing the rest.

    A clip with 640 samples per frame has a window for every F consecutive frames.

    Args:
        audio_N: the whole clip as in `mel_spectrogram`; sample 0 is at the start of frame 0.
        start_frame: first frame of the window, at 25 fps.
        start: see the module docstring.
    Raises:
        ValueError: the window starts before the clip or ends after it.
    """
    first, columns = first_sample(start_frame, start), num_columns(num_frames)
    if start_frame < 0 or first + HOP_SAMPLES * (columns - 1) > len(audio_N):
        raise ValueError(
            f"{len(audio_N)} samples hold no window of {num_frames} frames at frame {start_frame}"
        )
    return _columns(audio_N, first, columns)


def mel_columns(audio_N: NDArray[Any], centres_S: NDArray[np.int64]) -> Doubles:
    """Return the columns (80, S) of the spectrogram that are centred on any samples.

    Args:
        audio_N: as in `mel_spectrogram`; zeros lie beyond its ends.
        centres_S: samples, in any order; they may lie outside of the sound.
    """
    half = FFT_SAMPLES // 2
    begin = int(centres_S.min()) - half
    samples_N = _emphasised(audio_N, begin, int(centres_S.max()) + half)
    frames_SN = np.lib.stride_tricks.sliding_window_view(samples_N, FFT_SAMPLES)
    return _scaled_mel(frames_SN[centres_S - half - begin])


def num_columns(num_frames: int) -> int:
    """Return the columns of a window: 52 for 16 frames, which is 650 ms for 640."""
    return ceil(num_frames * 16 / 5)


def first_sample(start_frame: int, start: WindowStart = "exact") -> int:
    """Return the sample that the first column of a window is centred on."""
    exact, compat = SAMPLES_PER_FRAME * start_frame, HOP_SAMPLES * (16 * start_frame // 5)
    return {"exact": exact, "compat": compat}[start]


def _columns(audio_N: NDArray[Any], first: int, columns: int) -> Doubles:
    """Return `columns` columns, the first one centred on sample `first`."""
    begin, length = first - FFT_SAMPLES // 2, FFT_SAMPLES + HOP_SAMPLES * (columns - 1)
    samples_N = _emphasised(audio_N, begin, begin + length)
    frames_SN = np.lib.stride_tricks.sliding_window_view(samples_N, FFT_SAMPLES)[::HOP_SAMPLES]
    return _scaled_mel(frames_SN)


def _scaled_mel(frames_SN: Doubles) -> Doubles:
    """Return the columns (80, S), -4 ... 4, of stretches of sound, one Fourier window each."""
    magnitude_SK = np.abs(np.fft.rfft(frames_SN * _hann()))
    mel_MS = _mel_filters() @ magnitude_SK.T
    decibels = 20 * np.log10(np.maximum(mel_MS, MIN_MAGNITUDE)) - REFERENCE_DB
    scaled = 2 * MAX_VALUE * (decibels + RANGE_DB) / RANGE_DB - MAX_VALUE
    return np.asarray(np.clip(scaled, -MAX_VALUE, MAX_VALUE))


def _emphasised(audio_N: NDArray[Any], begin: int, end: int) -> Doubles:
    """Return samples begin ... end - 1 with pre-emphasis; zeros outside the clip.

    Sample `begin` has no predecessor here, but the Hann window multiplies it by 0.
    """
    full_scale = 32768.0 if audio_N.dtype == np.int16 else 1.0
    low, high = max(begin, 0), min(end, len(audio_N))
    known = audio_N[low:high].astype(np.float64) / full_scale
    out = np.zeros(end - begin)
    out[low - begin : high - begin] = known
    out[low - begin + 1 : high - begin] -= PRE_EMPHASIS * known[:-1]
    return out


@cache
def _hann() -> Doubles:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SAMPLES) / FFT_SAMPLES)


@cache
def _mel_filters() -> Doubles:
    """Return (80, 401): triangles of area 1 (in Hz), equally spaced on the mel scale.

    Rounded to float32, as for the spectrograms that the published weights were trained on.
    """
    low, high = _hz_to_mel(np.array(MEL_RANGE_HZ))
    edges = _mel_to_hz(np.linspace(low, high, NUM_MELS + 2))
    bins = np.arange(FFT_SAMPLES // 2 + 1) * SAMPLE_RATE_HZ / FFT_SAMPLES
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = (edges[2:] - edges[:-2])[:, None] / 2
    filters = np.maximum(0, np.minimum(rise, fall)) / area
    return filters.astype(np.float32).astype(np.float64)


def _hz_to_mel(hz: Doubles) -> Doubles:
    above = LOG_FROM_HZ / LINEAR_HZ_PER_MEL + np.log(np.maximum(hz, 1) / LOG_FROM_HZ) / LOG_STEP
    return np.where(hz < LOG_FROM_HZ, hz / LINEAR_HZ_PER_MEL, above)


def _mel_to_hz(mel: Doubles) -> Doubles:
    knee = LOG_FROM_HZ / LINEAR_HZ_PER_MEL
    above = LOG_FROM_HZ * np.exp(LOG_STEP * (mel - knee))
    return np.where(mel < knee, mel * LINEAR_HZ_PER_MEL, above)
