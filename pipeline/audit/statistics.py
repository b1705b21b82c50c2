"""What labels say about a limit, in numbers: intervals, agreement, the best limit.

Sources: Wilson (1927), the score interval of a share; Cohen (1960), kappa and its standard error.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""Two-sided 95 %: the normal distribution's quantile 0.975."""
LEAST_OF_EACH = 3
"""Good and bad clips without which no limit is suggested: a slip of the hand would decide."""
RESAMPLES = 1000
"""Of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """`hits` of `of` with Wilson's 95 % interval; None where there is nothing to divide by."""

    hits: int
    of: int
    value: float | None
    low: float | None
    high: float | None


def proportion(hits: int, of: int) -> Proportion:
    """Return a share with Wilson's score interval."""
    if not of:
        return Proportion(hits, of, None, None, None)
    share, z2 = hits / of, Z95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2)) / (1 + z2 / of)
    return Proportion(hits, of, share, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """Cohen's kappa of two labellers with its 95 % interval; None where chance leaves nothing."""

    clips: int
    observed: float | None
    kappa: float | None
    low: float | None
    high: float | None


def agreement(pairs: Sequence[tuple[str, str]]) -> LabelAgreement:
    """Compare two people's labels of the same clips.

    Args:
        pairs: the first one's and the second one's label of each clip.
    """
    count = len(pairs)
    if not count:
        return LabelAgreement(0, None, None, None, None)
    observed = sum(first == second for first, second in pairs) / count
    firsts, seconds = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    chance = sum(firsts[name] * seconds[name] for name in firsts) / count**2
    if chance == 1:
        return LabelAgreement(count, observed, None, None, None)
    kappa = (observed - chance) / (1 - chance)
    half = Z95 * math.sqrt(observed * (1 - observed) / (count * (1 - chance) ** 2))
    return LabelAgreement(count, observed, kappa, max(-1.0, kappa - half), min(1.0, kappa + half))


@dataclass(frozen=True, slots=True)
class Labelled:
    """A clip's number and whether it was labelled good."""

    value: float
    good: bool


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The limit with the fewest errors, and where it would lie with other such clips."""

    limit: float
    errors: int
    """Bad clips kept and good ones rejected at it."""
    errors_now: int
    low: float
    high: float


def suggest(
    labelled: Sequence[Labelled], at_most: bool, current: float, seed: int = 0
) -> Suggestion | None:
    """Return the limit that keeps the good and rejects the bad with the fewest errors.

    The candidates are the present limit, the middles between neighbouring numbers, and one beyond
    either end. Of equals, the nearest to the present one. The interval holds the middle 95 % of
    what 1000 resamples of the clips (a bootstrap) suggest. None with fewer than three good
    or three bad clips.
    """
    values = np.array([one.value for one in labelled], np.float64)
    good = np.array([one.good for one in labelled], np.bool_)
    if min(good.sum(), (~good).sum()) < LEAST_OF_EACH:
        return None
    limits = _candidates(values, current)
    wrong = _wrong(values, good, limits, at_most)
    order = np.lexsort((limits, np.abs(limits - current)))
    limits, wrong = limits[order], wrong[order]  # so that argmin takes the nearest of equals
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), RESAMPLES)
    again = limits[(wrong @ drawn.T).argmin(axis=0)]
    low, high = np.quantile(again, (0.025, 0.975))
    errors = wrong.sum(axis=1)
    best = int(errors.argmin())
    return Suggestion(
        float(limits[best]), int(errors[best]), int(errors[0]), float(low), float(high)
    )


def _candidates(values: NDArray[np.float64], current: float) -> NDArray[np.float64]:
    ordered = np.unique(values)
    margin = float(np.diff(ordered).mean()) / 2 if len(ordered) > 1 else 1.0
    middles = (ordered[1:] + ordered[:-1]) / 2
    ends = [ordered[0] - margin, ordered[-1] + margin]
    return np.unique(np.concatenate([middles, ends, [current]]))


def _wrong(
    values: NDArray[np.float64],
    good: NDArray[np.bool_],
    limits: NDArray[np.float64],
    at_most: bool,
) -> NDArray[np.int64]:
    """Return (limits, clips) 1 where a limit decides otherwise than the label."""
    kept = values <= limits[:, None] if at_most else values >= limits[:, None]
    return np.asarray(kept != good, np.int64)
