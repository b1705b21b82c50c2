"""Two 64-bit fingerprints of a clip; copies of one recording differ in few bits.

A hash of appearance alone would make every clip of one speaker in one room a duplicate, so most
bits of the image hash describe motion. Both are signs of low-frequency cosine coefficients
(the idea of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010,
carried over to time): re-encoding changes mostly the higher frequencies, which are left out.

Shapes: T = frames, N = samples, W = windows, B = bands, K = temporal frequency.
"""

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import dct, dctn

from pipeline import elementary
from pipeline.tables.rows import SAMPLE_RATE_HZ

_GRID = 8
_SPATIAL = 4
"""4 x 4 lowest spatial frequencies, for appearance and for motion."""
_MOTION_FREQUENCIES = 3
"""Half waves over the clip: 16 bits of appearance + 3 * 16 of motion."""
_STILL_LEVELS = 0.05
"""Coefficients below this many levels of luma count as encoder noise, not motion."""

_WINDOW = 512
_BAND_EDGES_HZ = (80.0, 400.0, 1000.0, 2500.0, 7000.0)
_CONTOUR_POINTS = 64
_CONTOUR_FREQUENCIES = 16
_FLOOR = 1e-4
"""Floor as a share of the clip's mean power, so that dither and codec noise have no effect."""
_SILENCE = 1e-6
"""A clip with a mean power below -60 dBFS counts as silent instead of being amplified."""
_FLAT_BELS = 1e-3


def picture_hash(small_THW: npt.NDArray[np.uint8]) -> str:
    """Return 16 hex digits from all frames, at any small size and length.

    Args:
        small_THW: luma of the aligned crop, (T, H, W).
    """
    grid_TYX = np.stack([_to_grid(frame) for frame in small_THW])
    still_YX = dctn(grid_TYX.mean(axis=0), norm="ortho")[:_SPATIAL, :_SPATIAL].ravel() / _GRID
    appearance = still_YX > np.median(still_YX[1:])
    motion_KYX = dctn(_temporal(grid_TYX), axes=(1, 2), norm="ortho")[:, :_SPATIAL, :_SPATIAL]
    motion = motion_KYX.ravel() / _GRID > _STILL_LEVELS
    return _hex(np.concatenate([appearance, motion]))


def audio_hash(audio_N: npt.NDArray[np.float32]) -> str:
    """Return 16 hex digits from the loudness contour in four bands, independent of the gain.

    Args:
        audio_N: 16 kHz mono, -1 to 1.
    """
    contour_PB = _contour(audio_N)
    coefficients_KB = dct(contour_PB, axis=0, norm="ortho")[1 : _CONTOUR_FREQUENCIES + 1]
    return _hex((coefficients_KB > _FLAT_BELS).ravel())


def _to_grid(frame_HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    size = (_GRID, _GRID)
    return np.asarray(cv2.resize(frame_HW.astype(np.float64), size, interpolation=cv2.INTER_AREA))


def _temporal(grid_TYX: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return cosine coefficients 1, 2, 3 over time, as amplitudes in levels, (K, Y, X)."""
    num_frames = len(grid_TYX)
    phase_T = np.pi * (np.arange(num_frames) + 0.5) / num_frames
    waves_KT = np.cos(np.arange(1, _MOTION_FREQUENCIES + 1)[:, None] * phase_T) * 2 / num_frames
    flat_TC = (grid_TYX - grid_TYX.mean(axis=0)).reshape(num_frames, -1)
    motion_KC: npt.NDArray[np.float64] = np.einsum("kt,tc->kc", waves_KT, flat_TC)
    return motion_KC.reshape(-1, *grid_TYX.shape[1:])


def _contour(audio_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return log10 power per band at 64 points spread over the clip, (64, B)."""
    windows = max(1, len(audio_N) // _WINDOW)
    padded_N = np.zeros(windows * _WINDOW)
    padded_N[: len(audio_N)] = audio_N[: len(padded_N)]
    tapered_WN = padded_N.reshape(windows, _WINDOW) * np.hanning(_WINDOW)
    power_WF = np.abs(np.fft.rfft(tapered_WN, axis=1)) ** 2 / (_WINDOW * _WINDOW / 4)
    frequency_F = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE_HZ)
    bins = np.searchsorted(frequency_F, _BAND_EDGES_HZ)
    bands_WB = np.add.reduceat(power_WF, bins[:-1], axis=1)
    loudness = max(float(np.square(padded_N).mean()), _SILENCE)
    log_WB = elementary.log10(bands_WB / loudness + _FLOOR)
    at_P = np.linspace(0, windows - 1, _CONTOUR_POINTS)
    return np.stack([np.interp(at_P, np.arange(windows), band) for band in log_WB.T], axis=1)


def _hex(bits: npt.NDArray[np.bool_]) -> str:
    digits: str = np.packbits(bits).tobytes().hex()
    return digits
