"""How much of the mouth's opening geometry predicts in films that the prediction was not made from.

Ridge regression; each source is left out once, and predicted by what the others taught.
R2 is 1 - (squared error) / (squared opening), summed over frames: 0 is as good as no knowledge,
less is worse. Its standard error is the jackknife's over sources.

Source: Hoerl and Kennard, "Ridge Regression" (1970); Efron and Stein, "The Jackknife Estimate of
Variance" (1981).
Shape suffixes: N frames, G numbers of geometry, S sources.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.leak.geometry import Doubles, PlacedClip, Series, series_of

LIMIT = 0.02
"""Of R2: above it a trainer can gain by a look at the crop's movement."""
FEWEST_SOURCES = 2
PENALTY = 1e-3
"""In mean squares of each number."""


@dataclass(frozen=True, slots=True)
class SourceReading:
    """One source, read by what the others taught."""

    source: str
    r2: float
    frames: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What one kind of geometry predicts."""

    r2: float
    standard_error: float
    sources: tuple[SourceReading, ...]
    """Worst (largest R2) first."""


@dataclass(frozen=True, slots=True)
class GeometryLeak:
    """How much of the opening is known without sound and without the mouth's pixels."""

    crop: Reading
    """From the movement of the crop alone: it should tell nothing."""
    crop_and_eyes: Reading
    """And from the landmarks of the eyes in it."""
    eyes: Reading
    """From the landmarks of the eyes alone, in a crop that stands still: no crop can take this
    away, for the landmark network moves the eyes with the mouth by itself."""
    frames: int


def geometry_leak(clips: Iterable[PlacedClip]) -> GeometryLeak | None:
    """Measure the leak; None for fewer than FEWEST_SOURCES sources: no honest figure exists."""
    series = [series_of(one) for one in clips]
    if len({one.source for one in series}) < FEWEST_SOURCES:
        return None
    return GeometryLeak(
        _reading(series, lambda one: one.crop),
        _reading(series, lambda one: np.concatenate([one.crop, one.eyes], axis=1)),
        _reading(series, lambda one: one.still_eyes),
        sum(len(one.opening) for one in series),
    )


def _reading(series: Sequence[Series], seen: Callable[[Series], Doubles]) -> Reading:
    sources = sorted({one.source for one in series})
    rows = {
        name: np.concatenate([seen(one) for one in series if one.source == name])
        for name in sources
    }
    openings = {
        name: np.concatenate([one.opening for one in series if one.source == name])
        for name in sources
    }
    grams = {name: rows[name].T @ rows[name] for name in sources}
    moments = {name: rows[name].T @ openings[name] for name in sources}
    gram, moment = sum(grams.values()), sum(moments.values())
    errors_S, powers_S = np.zeros((2, len(sources)))
    for number, name in enumerate(sources):
        weights_G = _weights(gram - grams[name], moment - moments[name])
        errors_S[number] = ((rows[name] @ weights_G - openings[name]) ** 2).sum()
        powers_S[number] = (openings[name] ** 2).sum()
    found = [
        SourceReading(name, _share(errors_S[k], powers_S[k]), len(openings[name]))
        for k, name in enumerate(sources)
    ]
    found.sort(key=lambda one: (-one.r2, one.source))
    r2 = _share(errors_S.sum(), powers_S.sum())
    return Reading(r2, _jackknife(errors_S, powers_S), tuple(found))


def _weights(gram_GG: Doubles, moment_G: Doubles) -> Doubles:
    scale_G = np.sqrt(np.diag(gram_GG)) + 1e-9
    scaled_GG = gram_GG / scale_G[:, None] / scale_G + PENALTY * np.eye(len(gram_GG))
    return np.asarray(np.linalg.solve(scaled_GG, moment_G / scale_G) / scale_G)


def _share(error: float, power: float) -> float:
    """Return R2; 0 where the mouth does not move at all."""
    return float(1.0 - error / power) if power > 0.0 else 0.0


def _jackknife(errors_S: Doubles, powers_S: Doubles) -> float:
    count = len(errors_S)
    left_S = 1.0 - (errors_S.sum() - errors_S) / np.maximum(powers_S.sum() - powers_S, 1e-12)
    spread = ((left_S - left_S.mean()) ** 2).sum()
    return float(np.sqrt((count - 1) / count * spread))
