"""Samples of decoded frames of sound as numbers with full scale 1."""

import av
import numpy as np
from numpy.typing import NDArray

_FULL_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "s64": 2**63}


def planes(frame: av.AudioFrame) -> NDArray[np.float64]:
    """Return the channels of a frame, (C, N) float64, full scale = 1."""
    data = frame.to_ndarray()
    channels = data if frame.format.is_planar else data.reshape(-1, len(frame.layout.channels)).T
    scale = _FULL_SCALE.get(frame.format.name.rstrip("p"), 1)
    scaled = np.asarray(channels, np.float64) / scale
    return scaled - 1.0 if data.dtype == np.uint8 else scaled


def as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round samples with full scale 1 to 16 bits, clipped to full scale."""
    return np.asarray(np.clip(np.rint(samples * 32768.0), -32768, 32767), np.int16)
