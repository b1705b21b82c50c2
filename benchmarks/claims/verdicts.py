"""The rule that decides, the same for every claim, fixed before the runs.

A comparison holds if the difference of both means over seeds has the claimed sign and is larger
than twice its standard error, sqrt(s1^2 / n1 + s2^2 / n2) with sample deviations s and n seeds. It
is turned round if the difference has the other sign and that size. A claim is reproduced if all
its comparisons hold, contradicted if one is turned round, and not established otherwise. With
fewer than three seeds of a variant there is no verdict.

A comparison of spreads is the same rule on each seed's distance from its variant's mean: Levene's
test ("Robust tests for equality of variances", 1960) in this rule's form. Three distances are few
and not independent: even against a variant without any spread, three evenly spaced values are not
enough.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.claims.claim import Claim, Comparison

Verdict = Literal["reproduced", "not established", "contradicted", "no verdict"]
MIN_SEEDS = 3
STANDARD_ERRORS = 2.0
Numbers = Mapping[str, Mapping[str, Sequence[float]]]
"""Variant -> metric -> one number per seed."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison with its numbers."""

    comparison: Comparison
    difference: float
    """Mean of the claimed higher one minus mean of the claimed lower one."""
    standard_error: float
    verdict: Verdict


def compared(comparison: Comparison, numbers: Numbers) -> Compared:
    """Apply the rule to one comparison."""
    high, low = (_values(comparison, numbers, key) for key in (comparison.higher, comparison.lower))
    if min(len(high), len(low)) < 1:
        return Compared(comparison, math.nan, math.nan, "no verdict")
    difference = statistics.fmean(high) - statistics.fmean(low)
    if min(len(high), len(low)) < MIN_SEEDS:
        return Compared(comparison, difference, math.nan, "no verdict")
    error = math.sqrt(sum(statistics.variance(one) / len(one) for one in (high, low)))
    return Compared(comparison, difference, error, _decided(difference, error))


def _values(comparison: Comparison, numbers: Numbers, variant: str) -> Sequence[float]:
    values = numbers.get(variant, {}).get(comparison.metric, ())
    return distances_from_mean(values) if comparison.of == "spread" else values


def distances_from_mean(values: Sequence[float]) -> list[float]:
    """Return how far each value is from the mean of all."""
    mean = statistics.fmean(values) if values else 0.0
    return [abs(one - mean) for one in values]


def _decided(difference: float, error: float) -> Verdict:
    if abs(difference) <= STANDARD_ERRORS * error:
        return "not established"
    if difference == 0:  # no spread and no difference
        return "not established"
    return "reproduced" if difference > 0 else "contradicted"


def verdict_of(claim: Claim, numbers: Numbers) -> tuple[Verdict, list[Compared]]:
    """Return a claim's verdict and what it follows from."""
    parts = [compared(one, numbers) for one in claim.comparisons]
    found = {part.verdict for part in parts}
    order: tuple[Verdict, ...] = ("no verdict", "contradicted", "not established", "reproduced")
    return next(one for one in order if one in found), parts
