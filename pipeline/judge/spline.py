"""Cubic splines through the 31 offsets of a distance map, without scipy (0.4 s to import).

Shape suffixes: W windows, K = 31 offsets from -15 to +15, Q places.
Source: not-a-knot spline, de Boor, "A practical guide to splines" (1978), chapter 4; a test
compares it with scipy's CubicSpline.
"""

from functools import cache

import numpy as np

from pipeline.judge.curve import NUM_OFFSETS, Doubles


def refined(values_WK: Doubles, steps: int) -> Doubles:
    """Return (W, 30 * steps + 1) the values at whole offsets, and `steps` - 1 between each two."""
    return np.asarray(np.einsum("wk,qk->wq", values_WK, _weights(steps)))


@cache
def _weights(steps: int) -> Doubles:
    """Return (Q, K): what each offset's value counts at each place."""
    at_Q = np.arange(steps * (NUM_OFFSETS - 1) + 1)
    left_Q = np.minimum(at_Q // steps, NUM_OFFSETS - 2)
    t = ((at_Q - steps * left_Q) / steps)[:, None]
    value, slope = np.eye(NUM_OFFSETS), _slopes()
    hermite = (1 + 2 * t) * (1 - t) ** 2 * value[left_Q] + t**2 * (3 - 2 * t) * value[left_Q + 1]
    bent = t * (1 - t) ** 2 * slope[left_Q] + t**2 * (t - 1) * slope[left_Q + 1]
    return np.asarray(hermite + bent)


def _slopes() -> Doubles:
    """Return (K, K): the spline's slope at each offset per value.

    Second derivatives are continuous everywhere, third ones at the second and last but one offset.
    Solved row by row: LAPACK's last bits depend on the processor.
    """
    system = 4 * np.eye(NUM_OFFSETS) + np.eye(NUM_OFFSETS, k=1) + np.eye(NUM_OFFSETS, k=-1)
    right = 3 * (np.eye(NUM_OFFSETS, k=1) - np.eye(NUM_OFFSETS, k=-1))
    system[0, :2], right[0, :3] = (1, 2), (-2.5, 2, 0.5)
    system[-1, -2:], right[-1, -3:] = (2, 1), (-0.5, -2, 2.5)
    for row in range(1, NUM_OFFSETS):
        share = system[row, row - 1] / system[row - 1, row - 1]
        system[row] = system[row] - share * system[row - 1]
        right[row] = right[row] - share * right[row - 1]
    right[-1] = right[-1] / system[-1, -1]
    for row in range(NUM_OFFSETS - 2, -1, -1):
        right[row] = (right[row] - system[row, row + 1] * right[row + 1]) / system[row, row]
    return np.asarray(right)
