"""Layers of small networks with one result on every processor, in numpy.

Weights and values lie on a grid of 2^-16. Sums of their products, below 2^20, are exact in float64,
so that the order in which BLAS adds, another on other processors, does not count.

Shapes: N pictures, C channels, Y rows, X columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GRID = 1 << 16
"""Steps per unit."""


def on_grid(value: NDArray[Any]) -> Floats:
    """Return the nearest values of the grid."""
    return np.asarray(np.rint(value.astype(np.float64) * GRID) / GRID)


def rectified(value: Floats) -> Floats:
    """Return a ReLU's output, on the grid."""
    return on_grid(np.maximum(value, 0))


def convolved(
    value_NCYX: Floats, weight: Floats, bias: Floats, kernel: int, stride: int, padding: int = 0
) -> Floats:
    """Return (N, channels out, Y', X').

    Args:
        weight: (channels out, C * kernel * kernel).
        padding: rows and columns of zeros on every side.
    """
    if padding:
        edges = (padding, padding)
        value_NCYX = np.pad(value_NCYX, ((0, 0), (0, 0), edges, edges))
    pictures, channels, rows, columns = value_NCYX.shape
    size = (rows - kernel) // stride + 1, (columns - kernel) // stride + 1
    seen = np.empty((pictures, channels, kernel, kernel, *size))
    for y in range(kernel):
        for x in range(kernel):
            moved = value_NCYX[:, :, y : y + rows - kernel + 1, x : x + columns - kernel + 1]
            seen[:, :, y, x] = moved[:, :, ::stride, ::stride]
    product = weight @ seen.reshape(pictures, -1, size[0] * size[1]) + bias[:, None]
    return np.asarray(product.reshape(pictures, -1, *size))
