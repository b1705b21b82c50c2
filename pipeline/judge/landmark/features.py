"""Input features of the landmark judge: mouth shape and log-mel spectrum, both per clip.

Clock: video frame t starts at t/25 s; mel step s is centred on audio sample 160 s, so step 4 t is
centred on the start of frame t, and T frames have exactly 4 T steps.

Shape suffixes: T frames, L landmarks, P lip points, C coordinates (x, y, z), V visual features,
N samples, S mel steps (S = 4 T), M mel bands.
Source: design of the feasibility study; mel scale of O'Shaughnessy (HTK form).
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import elementary
from pipeline.judge.landmark.points import FacePoints, face_points
from pipeline.tables.rows import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

Floats = NDArray[np.float32]

VISUAL_SIZE = 121
"""40 lip points x (x, y, z), then the distance from the lip centre to the chin."""
STEPS_PER_FRAME = 4
NUM_MELS = 40
MEL_RANGE_HZ = (80.0, 7600.0)
WINDOW_SAMPLES = 400
HOP_SAMPLES = SAMPLES_PER_FRAME // STEPS_PER_FRAME
FFT_SIZE = 512
PRE_EMPHASIS = 0.97
FLOOR_DB = -60.0
"""Level below which audio counts as silence, relative to the loud parts of the clip."""
MIN_SPREAD = 0.5
"""Lower bound of the standard deviation (nats) in normalisation: noise is not amplified."""


def mouth_shape(landmarks_TLC: NDArray[Any]) -> Floats:
    """Return the mouth in the face's coordinates: invariant to position, size and roll of the head.

    Args:
        landmarks_TLC: (T, 468, 3) Face Mesh or (T, 106, 3) InsightFace points, in pixels.
    Returns:
        (T, 121). Lip points around the lip centre, turned by the eye line, in units of the
        distance from the eyes' centre to the chin; then lip centre to chin in the same unit.
    Raises:
        ValueError: another number of landmarks, or values that are not finite.
    """
    points = face_points(landmarks_TLC)
    if not np.isfinite(points.lips).all():
        raise ValueError("landmarks are not finite")
    centre = points.lips.mean(axis=1)
    scale = _face_scale(points)[:, None]
    lips = _turn((points.lips - centre[:, None]) / scale[:, None], _roll_rad(points))
    drop = np.linalg.norm((points.chin - centre)[:, :2], axis=1, keepdims=True) / scale
    flat = lips.reshape(len(lips), -1)
    return np.concatenate([flat, drop], axis=1).astype(np.float32)


def centred(shape_TV: Floats) -> Floats:
    """Subtract the median over time: keeps the movement, removes the person's mouth shape."""
    if not len(shape_TV):
        return shape_TV
    return (shape_TV - np.median(shape_TV, axis=0)).astype(np.float32)


def _face_scale(points: FacePoints) -> NDArray[np.float64]:
    eyes = (points.left_eye + points.right_eye) / 2
    return np.asarray(np.maximum(np.linalg.norm((points.chin - eyes)[:, :2], axis=1), 1e-3))


def _roll_rad(points: FacePoints) -> NDArray[np.float64]:
    across = points.right_eye - points.left_eye
    return np.asarray(elementary.arctan2(across[:, 1], across[:, 0]))


def _turn(points_TPC: NDArray[np.float64], angle_T: NDArray[np.float64]) -> NDArray[np.float64]:
    cos, sin = elementary.cos(angle_T)[:, None], elementary.sin(angle_T)[:, None]
    x, y, z = np.moveaxis(points_TPC, -1, 0)
    return np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=-1)


def log_mel(audio_N: NDArray[Any], num_frames: int) -> Floats:
    """Return the log-mel spectrum (4 * num_frames, 40), in nats, not yet normalised.

    Args:
        audio_N: 16 kHz mono, int16 or float with full scale 1; cut or zero-filled to
            640 * num_frames samples. Sample 0 belongs to the start of frame 0.
    """
    power = _mel_power(_samples(audio_N, num_frames), STEPS_PER_FRAME * num_frames)
    if not power.size:
        return power.astype(np.float32)
    loud = np.quantile(power.max(axis=1), 0.99)
    floor = max(float(loud) * 10 ** (FLOOR_DB / 10), 1e-10)
    return np.asarray(elementary.log(np.maximum(power, floor)), dtype=np.float32)


def normalised(mel_SM: Floats) -> Floats:
    """Subtract each band's mean, divide by the spread of all bands. Silence becomes zeros."""
    if not mel_SM.size:
        return mel_SM
    offset = mel_SM - mel_SM.mean(axis=0, dtype=np.float64)
    return np.asarray(offset / max(float(offset.std()), MIN_SPREAD), dtype=np.float32)


def _samples(audio_N: NDArray[Any], num_frames: int) -> NDArray[np.float64]:
    full_scale = 32768.0 if audio_N.dtype == np.int16 else 1.0
    samples = np.zeros(num_frames * SAMPLES_PER_FRAME)
    used = audio_N[: len(samples)]
    samples[: len(used)] = np.nan_to_num(np.asarray(used, dtype=np.float64)) / full_scale
    samples[1:] -= PRE_EMPHASIS * samples[:-1]
    return samples


def _mel_power(samples_N: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    half = WINDOW_SAMPLES // 2
    padded = np.pad(samples_N, (half, half))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)
    spectrum = np.fft.rfft(windows[::HOP_SAMPLES][:steps] * np.hanning(WINDOW_SAMPLES), FFT_SIZE)
    return np.asarray(np.einsum("sf,mf->sm", np.abs(spectrum) ** 2, _mel_filters()))


@cache
def _mel_filters() -> NDArray[np.float64]:
    """Return (40, 257): triangles equally spaced on the mel scale, peak 1."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in MEL_RANGE_HZ)
    edges = 700 * (10 ** (np.linspace(low, high, NUM_MELS + 2) / 2595) - 1)
    bins = np.arange(FFT_SIZE // 2 + 1) * SAMPLE_RATE_HZ / FFT_SIZE
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall))
