"""Weighted, ridge-penalised logistic regression by Newton's method.

Shape suffixes: N examples, F facts.
"""

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
SMALLEST_STEP = 1e-10


def fit_logistic(
    x_NF: Doubles, right_N: Doubles, weight_N: Doubles, penalty_F: Doubles, steps: int
) -> Doubles:
    """Return the F weights that maximise the penalised likelihood; a bias is a column of ones.

    Args:
        right_N: 0 or 1.
        penalty_F: of each weight's square, for one example.
        steps: at most.
    """
    ridge = len(x_NF) * np.diag(penalty_F)
    w = np.zeros(x_NF.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-x_NF @ w))
        slope = x_NF.T @ (weight_N * (p - right_N)) + ridge @ w
        bend = (x_NF * (weight_N * p * (1 - p))[:, None]).T @ x_NF + ridge
        step = np.linalg.solve(bend, slope)
        w = w - step
        if np.abs(step).max() < SMALLEST_STEP:
            break
    return w
