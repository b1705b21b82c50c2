"""Evidence of every window for every offset: distances -> log odds of "in sync at this offset".

The alternative is foreign sound: no offset is right. A logistic regression on two facts: the
distance of the window at the offset, and the usual distance of the clip's own sound in its best
seconds: a face that is hard to read has larger distances everywhere. It is fitted on blocks of one
second of held-out clips, with their own and with foreign sound
(`trainers/systems/landmark_judge/evidence_fit.py`), and spread over the windows of the block.

Shape suffixes: W windows (one per frame), K = 31 offsets -15 ... +15, H = 61 halves of a frame.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.curve import MAX_OFFSET_FRAMES, NUM_OFFSETS, Doubles, filled
from pipeline.judge.spline import refined

HALVES = 2
NUM_HALVES = HALVES * (NUM_OFFSETS - 1) + 1


BLOCK_WINDOWS = 25
"""One second."""
BEST_SHARE = 0.1
"""Quantile of the means over one second that is the usual distance: in a clip that is foreign for
the most part, it is still taken from its own part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceModel:
    """Log odds per window = distance * d + usual * min(u, most_usual) + gain * g + bias."""

    distance: float
    """Weight of d, the distance at the offset."""
    usual: float
    """Weight of u, the clip's usual distance."""
    most_usual: float
    """Larger usual distances count as this one: those of foreign sound."""
    gain: float = 0.0
    """Weight of g, the window's median distance minus d."""
    bias: float

    def log_odds(self, distances_WK: Doubles) -> Doubles:
        """Return (W, 61) natural log odds at offsets -15 ... +15 in halves of a frame.

        0 where the clip has no sound for the offset.
        """
        known_WK = filled(distances_WK)
        at_WH = halves(known_WK)
        usual = min(usual_distance(known_WK), self.most_usual)
        odds_WH = self.distance * at_WH + self.usual * usual + self.bias
        odds_WH += self.gain * (np.median(known_WK, axis=1, keepdims=True) - at_WH)
        return np.where(_inside(distances_WK), odds_WH, 0.0)

    def as_json(self) -> dict[str, float]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "EvidenceModel":
        """Read what `as_json` wrote.

        Raises:
            KeyError, TypeError: something else.
        """
        return cls(**stored)


def usual_distance(known_WK: Doubles) -> float:
    """Return the mean distance over the best seconds of a clip, at its best offset."""
    length = min(BLOCK_WINDOWS, len(known_WK))
    total = np.concatenate([np.zeros((1, NUM_OFFSETS)), np.cumsum(known_WK, axis=0)])
    means = (total[length:] - total[:-length]) / length
    return float(np.quantile(means, BEST_SHARE, axis=0).min())


def halves(values_WK: Doubles) -> Doubles:
    """Return (W, 61): values at whole offsets, and between them by a cubic spline."""
    return refined(values_WK, HALVES)


def offset_of(half: int) -> float:
    """Return the offset in frames of one of the 61 columns."""
    return half / HALVES - MAX_OFFSET_FRAMES


def column_of(offset_frames: float) -> int:
    """Return the column nearest to an offset, 0 ... 60."""
    column = round(HALVES * (offset_frames + MAX_OFFSET_FRAMES))
    return min(max(column, 0), NUM_HALVES - 1)


def _inside(distances_WK: Doubles) -> NDArray[np.bool_]:
    """Return (W, 61): whether both neighbouring whole offsets have sound."""
    known_WK = np.isfinite(distances_WK)
    between = known_WK[:, :-1] & known_WK[:, 1:]
    inside = np.empty((len(known_WK), NUM_HALVES), np.bool_)
    inside[:, ::HALVES], inside[:, 1::HALVES] = known_WK, between
    return inside
