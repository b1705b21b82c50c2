"""Elementary functions of float64 with one result on every x86-64 processor with AVX2 and FMA.

NumPy takes exp, log and arctan2 from other code where there is AVX-512, and the last bit differs.
These call the C library for every number, ten times as slow: for up to some ten thousand numbers.
For products of matrices, which BLAS sums in an order of the processor's own, use `numpy.einsum`
with two operands: it has one order.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]


def exp(x: ArrayLike) -> Doubles:
    """Return e to the power of each number; OverflowError from 710 on."""
    return _each(math.exp, x)


def log(x: ArrayLike) -> Doubles:
    """Return natural logarithms, of 0 minus infinity; ValueError for a negative number."""
    return _each(_log, x)


def log10(x: ArrayLike) -> Doubles:
    """Return decimal logarithms; ValueError for what is not above 0."""
    return _each(math.log10, x)


def cos(x: ArrayLike) -> Doubles:
    """Return cosines of radians."""
    return _each(math.cos, x)


def sin(x: ArrayLike) -> Doubles:
    """Return sines of radians."""
    return _each(math.sin, x)


def arctan2(y: ArrayLike, x: ArrayLike) -> Doubles:
    """Return angles in radians, -pi to pi."""
    return _each(math.atan2, y, x)


def _log(x: float) -> float:
    return math.log(x) if x != 0 else -math.inf


def _each(function: Callable[..., float], *arguments: ArrayLike) -> Doubles:
    arrays = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in arguments))
    numbers = map(function, *(one.ravel().tolist() for one in arrays))
    return np.fromiter(numbers, np.float64, arrays[0].size).reshape(arrays[0].shape)
