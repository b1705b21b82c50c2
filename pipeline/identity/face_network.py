"""A face as 128 numbers: pictures of one person lie within about 0.3 of each other.

The residual network that D. King trained and published in 2017 for dlib, placed in the public
domain (CC0), fetched at set-up. Here in numpy, exact on every processor, with weights rounded to
float16; against dlib the numbers differ by less than 0.002.

Shapes: N faces, P = 150 pixels, C channels, D = 128.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import WeightsError
from pipeline.exact_layers import Floats, convolved, on_grid, rectified
from pipeline.identity.dlib_file import read_arrays
from pipeline.weights.files import path_of

WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
FACE_PX = 150
SIZE = 128
_BLOCKS = (
    *[(32, 1)] * 3, (64, 2), *[(64, 1)] * 3, (128, 2), *[(128, 1)] * 2,
    (256, 2), *[(256, 1)] * 2, (256, 2),
)  # fmt: skip
"""Channels and stride of every residual block of two convolutions."""
_MEAN = np.array([122.782, 117.001, 104.298])
"""Of R, G and B in the network's training pictures."""
_LEVELS = 256.0
"""Levels of a picture per unit of the network's input."""


class FaceNetwork:
    """The network, in numpy."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the weights; None: those that were fetched.

        Raises:
            WeightsError: the file is absent or not this network's.
        """
        self._weights = _read(path or path_of(WEIGHTS))

    def embed(self, faces_NPPC: NDArray[np.uint8]) -> Floats:
        """Return the embeddings (N, D) of aligned faces (`face_chip.py`), RGB."""
        value = (faces_NPPC.astype(np.float64) - _MEAN) / _LEVELS
        value = on_grid(value.transpose(0, 3, 1, 2))
        value = _reduced(self._layer(value, "first", 7, 2), 3, np.max)
        for number, (channels, stride) in enumerate(_BLOCKS):
            value = self._block(value, number, channels, stride)
        return np.asarray(on_grid(value.mean((2, 3))) @ self._weights["out.weight"])

    def _block(self, value: Floats, number: int, channels: int, stride: int) -> Floats:
        first = self._layer(value, f"{number}.0", 3, stride)
        second = self._convolution(first, f"{number}.1", 3, 1)
        passed = value if stride == 1 else on_grid(_reduced(value, 2, np.mean))
        return rectified(_added(second, passed, channels))

    def _layer(self, value: Floats, name: str, kernel: int, stride: int) -> Floats:
        return rectified(self._convolution(value, name, kernel, stride))

    def _convolution(self, value: Floats, name: str, kernel: int, stride: int) -> Floats:
        """Return a convolution, padded where it keeps the size, scaled per channel."""
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        padding = kernel // 2 if stride == 1 else 0
        made = on_grid(convolved(value, weight, np.zeros(len(bias)), kernel, stride, padding))
        scale, shift = self._weights[f"{name}.scale"], self._weights[f"{name}.shift"]
        return (made + bias[:, None, None]) * scale[:, None, None] + shift[:, None, None]


def _read(path: Path) -> Mapping[str, Floats]:
    """Return the weights by layer, rounded to float16, on the grid."""
    *pairs, out = read_arrays(path.read_bytes())
    layers = list(_layers())
    sizes = [n for _, inputs, outputs in layers for n in (outputs * (inputs + 1), 2 * outputs)]
    if [array.size for array in (*pairs, out)] != [*sizes, _BLOCKS[-1][0] * SIZE]:
        raise WeightsError(f"{path}: its arrays are not those of the face network")
    found = {"out.weight": out.reshape(-1, SIZE)}
    for (name, inputs, outputs), taps, affine in zip(layers, pairs[::2], pairs[1::2], strict=True):
        found[f"{name}.weight"] = taps[:-outputs].reshape(outputs, inputs)
        found[f"{name}.bias"] = taps[-outputs:]
        found[f"{name}.scale"], found[f"{name}.shift"] = affine[:outputs], affine[outputs:]
    return {name: on_grid(array.astype(np.float16)) for name, array in found.items()}


def _layers() -> Iterator[tuple[str, int, int]]:
    """Yield every convolution's name, taps per output channel and output channels, in order."""
    yield "first", 3 * 7 * 7, 32
    inputs = 32
    for number, (channels, _) in enumerate(_BLOCKS):
        yield f"{number}.0", inputs * 3 * 3, channels
        yield f"{number}.1", channels * 3 * 3, channels
        inputs = channels


def _reduced(value: Floats, kernel: int, how: Callable[..., Any]) -> Floats:
    """Return windows of kernel x kernel, two apart, each as one number."""
    seen = np.lib.stride_tricks.sliding_window_view(value, (kernel, kernel), (2, 3))
    return np.asarray(how(seen[:, :, ::2, ::2], axis=(4, 5)))


def _added(one: Floats, two: Floats, channels: int) -> Floats:
    """Return the sum of two maps; what one lacks in channels, rows or columns is 0 there."""
    rows, columns = (max(one.shape[axis], two.shape[axis]) for axis in (2, 3))
    total = np.zeros((len(one), channels, rows, columns))
    for value in (one, two):
        total[:, : value.shape[1], : value.shape[2], : value.shape[3]] += value
    return total
