"""The clock of a film: what all its clips say together about the offset of each of them.

Clips of one film share their offset, or it drifts slowly, unless sound was lost or inserted between
them. So the offset is a Markov chain over the clips in the order of time: it stays, moves by half a
frame, or rarely jumps. What a clip says of an offset is its best stretch at that offset; a clip may
also say nothing (a listener, foreign sound, silence).

Shape suffixes: C clips of one film in the order of time, W windows, H = 61 offsets in halves of a
frame from -15 to +15.
Source: forward-backward algorithm, Rabiner, "A tutorial on hidden Markov models" (1989).
"""

import math
from collections.abc import Sequence

import numpy as np

from pipeline import elementary
from pipeline.judge.curve import Doubles
from pipeline.judge.evidence import NUM_HALVES

SAYS_NOTHING = 0.2
"""Share of clips whose sound is not that of their face."""
STRETCH_LOG_ODDS = 3.0
"""Subtracted from the best stretch: it was chosen among all stretches of the clip."""
MAX_LOG_ODDS = 25.0
"""No single clip is surer than this."""
JUMPS = 0.03
"""Share of neighbouring clips between which the offset jumps."""
MOVES = 0.05
"""Share between which it moves by half a frame, to either side."""


def offset_priors(log_odds: Sequence[Doubles]) -> list[Doubles]:
    """Return for every clip (61,) log probabilities of its offset from all OTHER clips.

    Args:
        log_odds: per clip (W, 61), in the order of time.
    """
    said_CH = np.stack([_said(one) for one in log_odds])
    before_CH = _passed(said_CH)
    after_CH = _passed(said_CH[::-1])[::-1]
    return [_normalised(b + a) for b, a in zip(before_CH, after_CH, strict=True)]


def best_stretch(log_odds_WH: Doubles) -> Doubles:
    """Return (61,) the largest sum over consecutive windows at each offset, >= 0 (Kadane)."""
    ending, best = np.zeros(NUM_HALVES), np.zeros(NUM_HALVES)
    for window in log_odds_WH:
        ending = np.maximum(ending + window, 0.0)
        best = np.maximum(best, ending)
    return best


def _said(log_odds_WH: Doubles) -> Doubles:
    odds_H = np.clip(best_stretch(log_odds_WH) - STRETCH_LOG_ODDS, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    said_H = np.logaddexp(math.log(SAYS_NOTHING), math.log(1 - SAYS_NOTHING) + odds_H)
    return np.asarray(said_H)


def _passed(said_CH: Doubles) -> Doubles:
    """Return (C, 61): what the clips before each one say of its offset."""
    passed = [np.full(NUM_HALVES, -math.log(NUM_HALVES))]
    for said_H in said_CH[:-1]:
        passed.append(_moved(_normalised(passed[-1] + said_H)))
    return np.stack(passed)


def _moved(log_H: Doubles) -> Doubles:
    share_H = elementary.exp(log_H)
    padded = np.pad(share_H, 1, mode="edge")
    moved_H = (1 - 2 * MOVES) * share_H + MOVES * (padded[:-2] + padded[2:])
    return np.asarray(elementary.log((1 - JUMPS) * moved_H + JUMPS / NUM_HALVES))


def _normalised(log_H: Doubles) -> Doubles:
    return np.asarray(log_H - np.logaddexp.reduce(log_H))
