"""Ridge regression from sums, and kernel ridge regression, of one number.

Targets and features are centred by the caller. Shape suffixes: N rows, K features.
Source: Hoerl and Kennard, "Ridge Regression" (1970); Saunders et al., "Ridge Regression Learning
Algorithm in Dual Variables" (ICML 1998).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


class RidgeSums:
    """Collects rows of a ridge regression in memory of K x K."""

    def __init__(self, features: int) -> None:
        """Start without rows."""
        self._gram_KK = np.zeros((features, features))
        self._moment_K = np.zeros(features)

    def add(self, rows_NK: NDArray[Any], targets_N: Doubles) -> None:
        """Add rows and their targets."""
        rows = rows_NK.astype(np.float64)
        self._gram_KK += rows.T @ rows
        self._moment_K += rows.T @ targets_N

    def weights(self, share: float) -> Doubles:
        """Return the weights (K,).

        Args:
            share: the penalty, in mean squares of a feature (mean of the diagonal of X'X).
        """
        size = len(self._moment_K)
        penalty = share * np.trace(self._gram_KK) / size + 1e-12
        weights_K = np.linalg.solve(self._gram_KK + penalty * np.eye(size), self._moment_K)
        return np.asarray(weights_K, np.float64)


@dataclass(frozen=True, slots=True)
class KernelRidge:
    """A fitted kernel ridge regression with a Gaussian kernel."""

    rows: Doubles
    """(N, K)"""
    weights: Doubles
    """(N,)"""
    width: float

    def predict(self, rows_NK: Doubles) -> Doubles:
        """Return the predictions (N,)."""
        return _kernel(rows_NK, self.rows, self.width) @ self.weights


def fit_kernel_ridge(
    rows_NK: Doubles, targets_N: Doubles, width: float, penalty: float
) -> KernelRidge:
    """Fit weights to rows.

    Args:
        width: of the kernel exp(-d^2 / (2 K width^2)) at distance d: in standard deviations of
            standardised features.
        penalty: added to the kernel's diagonal, which is 1.
    """
    kernel_NN = _kernel(rows_NK, rows_NK, width)
    weights_N = np.linalg.solve(kernel_NN + penalty * np.eye(len(rows_NK)), targets_N)
    return KernelRidge(rows_NK, np.asarray(weights_N, np.float64), width)


def _kernel(one_NK: Doubles, other_NK: Doubles, width: float) -> Doubles:
    squares = (one_NK**2).sum(axis=1)[:, None] + (other_NK**2).sum(axis=1)[None]
    distances = np.maximum(squares - 2 * one_NK @ other_NK.T, 0)
    return np.asarray(np.exp(distances / (-2 * one_NK.shape[1] * width**2)))


def correlation(one_N: NDArray[Any], other_N: NDArray[Any]) -> float:
    """Return Pearson's r; 0 where either does not change, so that stillness is no missing value."""
    one, other = one_N - one_N.mean(), other_N - other_N.mean()
    power = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / power) if power > 1e-9 else 0.0
