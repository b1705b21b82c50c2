"""Calibration: distance curve -> probability that the offset is right within one frame.

The confidence (median minus minimum) alone is not enough: a curve of 50 windows is noisier than
one of 250, so the same confidence means less. Four features of a result are the input of a logistic
regression that the trainer fits on pieces of 2 to 10 s of held-out sources, each once with its own
audio and once with that of another clip (for which no offset is right).

Shape suffixes: W windows (one per frame), K = 31 offsets, F = 4 facts.
Source: Platt (1999), probabilities from scores.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pipeline import elementary
from pipeline.judge.curve import MAX_OFFSET_FRAMES, Doubles, JudgeResult, filled

BLOCK_WINDOWS = 10
"""Windows overlap; means of ten (0.4 s) are nearly independent of each other."""
NEAR_OFFSETS = 3
"""Offsets within this distance of the best one belong to the same minimum."""
_FLOOR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The effect of a threshold on the probability on clips of one length."""

    seconds: int
    threshold: float
    precision: float
    """Kept clips whose offset is right, over all kept."""
    recall: float
    """Genuine clips kept with the right offset, over all genuine clips."""
    kept_share: float
    """Kept clips over all, dubbed ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A logistic regression on the logarithms of the four facts."""

    mean: Sequence[float]
    spread: Sequence[float]
    low: Sequence[float]
    """Features are clipped to the range of the fitted data."""
    high: Sequence[float]
    weights: Sequence[float]
    bias: float
    points: Sequence[CurvePoint] = field(default_factory=list)
    """Precision and recall against the threshold, measured on held-out sources."""

    def probability(self, result: JudgeResult) -> float:
        """Return the probability that `result.offset_frames` is right within one frame."""
        return self.probability_at(result, result.offset_frames + MAX_OFFSET_FRAMES)

    def probability_at(self, result: JudgeResult, index: int) -> float:
        """Return the probability that the offset at one index of the curve is right."""
        known = np.clip(facts(result, index), self.low, self.high)
        scaled = (known - np.asarray(self.mean)) / np.asarray(self.spread)
        score = math.fsum((scaled * np.asarray(self.weights)).tolist())
        return float(1 / (1 + math.exp(-(score + self.bias))))

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Calibration":
        """Read what `as_json` wrote.

        Raises:
            KeyError, TypeError: something else.
        """
        points = [CurvePoint(**point) for point in stored["points"]]
        return cls(**{**stored, "points": points})


def facts(result: JudgeResult, index: int) -> Doubles:
    """Return (4,) natural logarithms: confidence, sharpness, consistency, number of windows.

    Args:
        index: of the offset in question, 0 ... 30.
    """
    curve = result.curve
    values = [
        float(np.median(curve) - curve[index]),
        sharpness(curve, index),
        consistency(result.distances, index),
        len(result.distances),
    ]
    return elementary.log(np.maximum(np.asarray(values, dtype=np.float64), _FLOOR))


def sharpness(curve_K: Doubles, at: int) -> float:
    """Return how far the curve at one offset lies below the far ones, in their own spread."""
    far = curve_K[np.abs(np.arange(len(curve_K)) - at) > NEAR_OFFSETS]
    return float((far.mean() - curve_K[at]) / (far.std() + 1e-6))


def consistency(distances_WK: Doubles, at: int) -> float:
    """Return Student's t of the gain of blocks of 0.4 s at one offset; 0 under 3 blocks."""
    blocks = len(distances_WK) // BLOCK_WINDOWS
    if blocks < 3:
        return 0.0
    known_WK = filled(distances_WK)
    gain_W = np.median(known_WK, axis=1) - known_WK[:, at]
    means = np.array([part.mean() for part in np.array_split(gain_W, blocks)])
    return float(means.mean() / (means.std(ddof=1) / np.sqrt(blocks) + 1e-6))
