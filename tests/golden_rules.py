"""The rules behind the golden files: weights, pictures and sound that anyone can make again.

Source: the golden files' own description, rules R1 to R3.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def rule_weight(key: str, shape: Sequence[int]) -> Tensor:
    """Rule R1: the tensor that belongs to one key of a state dict.

    Raises:
        KeyError: the rule says nothing about such a key.
    """
    if key.endswith("num_batches_tracked"):
        return torch.zeros(tuple(shape), dtype=torch.int64)
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("running_var"):
        return _float32(rng.uniform(0.5, 1.5, shape))
    normal = np.asarray(rng.standard_normal(shape))
    if key.endswith("running_mean"):
        return _float32(0.1 * normal)
    if key.endswith("bias"):
        return _float32(0.05 * normal)
    if not key.endswith("weight"):
        raise KeyError(key)
    if len(shape) == 1:
        return _float32(1 + 0.1 * normal)
    return _float32(normal * np.sqrt(2 / np.prod(shape[1:])))


def rule_state(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Rule R1 for a whole state dict, key -> shape."""
    return {key: rule_weight(key, shape) for key, shape in shapes.items()}


def rule_frames(count: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Rule R2: (count, height, width, 3) pictures, from whole numbers alone."""
    t, y, x, c = np.meshgrid(*map(np.arange, (count, height, width, 3)), indexing="ij", sparse=True)
    first = _triangle(3 * x + 11 * t + 40 * c)
    second = _triangle(2 * y - 7 * t * (1 + c) + x * y // 64)
    noise = np.random.default_rng(seed).integers(-16, 17, (count, height, width, 3))
    return np.asarray(np.clip((first + second) // 2 + noise, 0, 255), dtype=np.uint8)


def rule_sound(seconds: float, seed: int) -> NDArray[np.int16]:
    """Rule R3: a swelling chord with a sweep and some noise, 16 kHz."""
    t = np.arange(round(seconds * 16000)) / 16000
    chord = 0.30 * np.sin(2 * np.pi * 220 * t) + 0.20 * np.sin(2 * np.pi * (500 + 300 * t) * t)
    chord += 0.10 * np.sin(2 * np.pi * 2750 * t)
    noise = 0.02 * np.random.default_rng(seed).standard_normal(len(t))
    sound = (0.55 + 0.45 * np.sin(2 * np.pi * 3 * t)) * chord + noise
    return np.asarray(np.clip(np.round(sound * 32767 * 0.8), -32768, 32767), dtype=np.int16)


def _triangle(k: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.minimum(2 * np.abs(k % 256 - 128), 255))


def _float32(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.asarray(values).astype(np.float32))
