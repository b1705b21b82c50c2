"""Stretches of a clip: where it is in sync, at which offset, and where its sound is foreign.

A hidden Markov model over the windows of a clip. States: in sync at one of 61 offsets (halves of a
frame from -15 to +15), or foreign. The emission is the log odds of `pipeline.judge.evidence`, 0 for
foreign. The most probable path (Viterbi) is cut where it becomes foreign or jumps to another
offset; steps of half a frame are drift and stay inside a stretch.

Shape suffixes: W windows (one per frame), H = 61 offsets in halves of a frame.
Source: Viterbi (1967); Rabiner, "A tutorial on hidden Markov models" (1989).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline import elementary
from pipeline.judge.curve import Doubles
from pipeline.judge.evidence import NUM_HALVES, offset_of

IN_SYNC, FOREIGN = "in_sync", "foreign"
STARTS_FOREIGN = 0.2
"""Share of clips that begin with foreign sound: voice-overs, translations, listeners."""
FOREIGN_WEIGHT = 0.042
"""Default weight of a change from in sync to foreign. No rate of such changes: windows overlap, and
a clip that is wrong in part costs more than a good part that is lost. Set where 95 % of the seconds
of unspoilt held-out clips stay; docs/landmark_judge.md has what is then caught."""
BECOMES_IN_SYNC = 1 / 25
"""Weight of a change back."""
STEPS = 1 / 40
"""Weight of a jump to any other offset: sound lost or inserted."""
FOUND = 0.3
"""Share of a clip's stretches in sync that have an offset found elsewhere in the clip."""
DRIFTS = 1 / 1000
"""Weight of a change by half a frame to either side, per window."""
Ints = NDArray[np.int64]
_FOREIGN = NUM_HALVES
"""Index of the foreign state, behind those of the offsets."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive windows in one state."""

    kind: str
    """`in_sync` or `foreign`."""
    start: int
    """First window."""
    end: int
    """First window after it."""
    first_offset: float
    """Audio lead in frames at its beginning; 0 where it is foreign."""
    last_offset: float
    log_odds: float
    """Natural log odds of in sync at these offsets against foreign, prior and evidence together; of
    a foreign stretch: at the best single offset."""

    @property
    def probability(self) -> float:
        """Probability of in sync at these offsets."""
        return float(1 / (1 + math.exp(-min(max(self.log_odds, -50.0), 50.0))))

    @property
    def drift_frames(self) -> float:
        """Change of the offset from its beginning to its end."""
        return self.last_offset - self.first_offset


def flat_prior() -> Doubles:
    """Return (61,) equal log probabilities of all offsets."""
    return np.full(NUM_HALVES, -math.log(NUM_HALVES))


def decode_stretches(
    log_odds_WH: Doubles, log_prior_H: Doubles, foreign_weight: float = FOREIGN_WEIGHT
) -> list[Stretch]:
    """Return the stretches of one clip; they cover its windows without gap.

    Args:
        log_odds_WH: in sync at each offset against foreign, per window.
        log_prior_H: log probability of each offset of a clip that is in sync, from the other clips
            of the same film.
        foreign_weight: 0 to 0.9, of a change to foreign sound: with more of it more foreign sound
            is found, and more good seconds are lost.
    """
    path = _most_probable_path(log_odds_WH, log_prior_H, foreign_weight)
    if (path != _FOREIGN).any():
        log_prior_H = _with_found(path, log_prior_H)
        path = _most_probable_path(log_odds_WH, log_prior_H, foreign_weight)
    bounds = _bounds(path)
    prior_H = log_prior_H + math.log((1 - STARTS_FOREIGN) / STARTS_FOREIGN)
    return [_stretch(log_odds_WH, prior_H, path[a:b], a) for a, b in pairwise(bounds)]


def _with_found(path: Ints, log_prior_H: Doubles) -> Doubles:
    """Return the prior for a second pass: the offsets that the first one found are likely again.

    So a foreign middle needs no more evidence than a foreign end.
    """
    found = path[path != _FOREIGN]
    share_H = np.bincount(found, minlength=NUM_HALVES) / len(found)
    return np.asarray(elementary.log((1 - FOUND) * elementary.exp(log_prior_H) + FOUND * share_H))


def _most_probable_path(log_odds_WH: Doubles, log_prior_H: Doubles, foreign_weight: float) -> Ints:
    """Return (W,) the state of every window; `_FOREIGN` is the foreign one."""
    windows = len(log_odds_WH)
    came_from = np.empty((windows, NUM_HALVES + 1), np.int64)
    score = np.append(math.log(1 - STARTS_FOREIGN) + log_prior_H, math.log(STARTS_FOREIGN))
    score[:-1] += log_odds_WH[0]
    for window in range(1, windows):
        score, came_from[window] = _step(score, log_prior_H, foreign_weight)
        score[:-1] += log_odds_WH[window]
    path = np.empty(windows, np.int64)
    path[-1] = int(score.argmax())
    for window in range(windows - 1, 0, -1):
        path[window - 1] = came_from[window, path[window]]
    return path


def _step(score: Doubles, log_prior_H: Doubles, foreign_weight: float) -> tuple[Doubles, Ints]:
    """Return the best score of every state one window later, and the state it came from."""
    offsets, foreign = score[:-1], score[-1]
    best = int(offsets.argmax())
    stayed, drifted = math.log(1 - foreign_weight - STEPS - 2 * DRIFTS), math.log(DRIFTS)
    padded = np.concatenate([[-np.inf], offsets, [-np.inf]])
    ways = np.stack([
        offsets + stayed,
        padded[:-2] + drifted,
        padded[2:] + drifted,
        np.full(NUM_HALVES, offsets[best] + math.log(STEPS / NUM_HALVES)),
        foreign + math.log(BECOMES_IN_SYNC) + log_prior_H,
    ])  # fmt: skip
    at = np.arange(NUM_HALVES)
    origins = np.stack([at, at - 1, at + 1, np.full_like(at, best), np.full_like(at, _FOREIGN)])
    chosen = ways.argmax(axis=0)
    to_foreign = offsets[best] + math.log(foreign_weight)
    stays_foreign = foreign + math.log(1 - BECOMES_IN_SYNC)
    return (
        np.append(ways[chosen, at], max(to_foreign, stays_foreign)),
        np.append(origins[chosen, at], best if to_foreign > stays_foreign else _FOREIGN),
    )


def _bounds(path: Ints) -> list[int]:
    """Return the first window of every stretch, and the number of windows."""
    before, after = path[:-1], path[1:]
    foreign = (before == _FOREIGN) | (after == _FOREIGN)
    cut = np.where(foreign, before != after, np.abs(after - before) > 1)
    return [0, *(np.flatnonzero(cut) + 1).tolist(), len(path)]


def _stretch(log_odds_WH: Doubles, prior_H: Doubles, states: Ints, start: int) -> Stretch:
    end = start + len(states)
    if states[0] == _FOREIGN:
        total = float((log_odds_WH[start:end].sum(axis=0) + prior_H).max())
        return Stretch(FOREIGN, start, end, 0.0, 0.0, total)
    total = float(log_odds_WH[np.arange(start, end), states].sum() + prior_H[states].max())
    return Stretch(
        IN_SYNC, start, end, offset_of(int(states[0])), offset_of(int(states[-1])), total
    )
