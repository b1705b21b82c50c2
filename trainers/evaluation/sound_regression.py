"""Opening of the mouth from the sound alone: what a small model can learn of it from these films.

The sound of a frame is a window of the log-mel spectrogram (trainers/frozen/mel_tokens.py): 20
bands by 13 columns of 25 ms. A ridge, and a kernel ridge on a sample of frames, whose width and
penalty are chosen on other films of the train split. Neither sees a held-out film.

Shape suffixes: T frames, N rows, K features.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from trainers.evaluation.ridge import (
    Doubles,
    KernelRidge,
    RidgeSums,
    correlation,
    fit_kernel_ridge,
)
from trainers.frozen.mel_tokens import MelTokens

KERNEL_ROWS = 1500
"""Most frames of the kernel ridge, drawn by the seed: its cost is their third power."""
RIDGE_PENALTY = 0.1
WIDTHS, PENALTIES = (0.35, 0.5, 0.7, 1.0), (0.1, 0.3, 1.0)
"""Tried for the kernel ridge."""
FOLDS = 2
SMALL_SCALE = 0.05
"""Added to the deviation of each feature, so that a silent band does not become loud noise."""


@dataclass(slots=True)
class SoundRows:
    """Sounds and openings of the films of the train split."""

    features: list[NDArray[np.float32]] = field(default_factory=list)
    """(T, K) per film."""
    openings: list[Doubles] = field(default_factory=list)
    """(T,) per film, relative to its mean."""

    def add(self, audio_N: NDArray[np.int16], opening_T: Doubles) -> None:
        """Add a film."""
        self.features.append(_sound(audio_N))
        self.openings.append(opening_T)


@dataclass(frozen=True, slots=True)
class SoundRegression:
    """Both fitted regressions."""

    mean: Doubles
    scale: Doubles
    ridge: Doubles
    """(K,) all three."""
    kernel: KernelRidge

    def openings(self, audio_N: NDArray[np.int16]) -> tuple[Doubles, Doubles]:
        """Return the opening (T,) by the ridge and by the kernel ridge."""
        rows_TK = (_sound(audio_N) - self.mean) / self.scale
        return rows_TK @ self.ridge, self.kernel.predict(rows_TK)


def fit_sound_regression(rows: SoundRows, seed: int) -> SoundRegression:
    """Fit both regressions.

    Args:
        seed: draws the frames of the kernel ridge.
    """
    features_NK = np.concatenate(rows.features).astype(np.float64)
    openings_N = np.concatenate(rows.openings)
    mean_K, scale_K = features_NK.mean(axis=0), features_NK.std(axis=0) + SMALL_SCALE
    standard_NK = (features_NK - mean_K) / scale_K
    sums = RidgeSums(standard_NK.shape[1])
    sums.add(standard_NK, openings_N)
    films_N = np.repeat(np.arange(len(rows.openings)), [len(one) for one in rows.openings])
    drawn = np.random.default_rng(seed).permutation(len(openings_N))[:KERNEL_ROWS]
    kernel = _kernel_ridge(standard_NK[drawn], openings_N[drawn], films_N[drawn])
    return SoundRegression(mean_K, scale_K, sums.weights(RIDGE_PENALTY), kernel)


def _sound(audio_N: NDArray[np.int16]) -> NDArray[np.float32]:
    (tokens_T1K,) = MelTokens().features([audio_N])
    sound_TK: NDArray[np.float32] = tokens_T1K[:, 0].numpy()
    return sound_TK


def _kernel_ridge(rows_NK: Doubles, targets_N: Doubles, films_N: NDArray[np.int64]) -> KernelRidge:
    """Fit with the width and penalty that predict other films best."""

    def score(choice: tuple[float, float]) -> float:
        return float(
            np.mean([_fold(rows_NK, targets_N, films_N % FOLDS == k, *choice) for k in (0, 1)])
        )

    best = max(product(WIDTHS, PENALTIES), key=score)
    return fit_kernel_ridge(rows_NK, targets_N, *best)


def _fold(
    rows_NK: Doubles,
    targets_N: Doubles,
    left_out_N: NDArray[np.bool_],
    width: float,
    penalty: float,
) -> float:
    if left_out_N.all() or not left_out_N.any():
        return 0.0
    fitted = fit_kernel_ridge(rows_NK[~left_out_N], targets_N[~left_out_N], width, penalty)
    return correlation(fitted.predict(rows_NK[left_out_N]), targets_N[left_out_N])
