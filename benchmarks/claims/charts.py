"""Curves and dots of the page as coordinates of small SVG drawings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.html.drawing import HEIGHT, WIDTH, Mark, round_step
from pipeline.html.words import number

COLOURS = 6
"""Classes c0 ... c5 of the page's style."""
TICKS = 4
DOT_ROW = 22
"""Height of a variant's row of dots."""
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """One run's curve."""

    name: str
    colour: str
    points: str


@dataclass(frozen=True, slots=True)
class Curves:
    """A chart of all runs of a claim over steps."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]
    reference: Mark | None


@dataclass(frozen=True, slots=True)
class Dots:
    """One number, one row per variant, one dot per seed and a bar at the mean."""

    title: str
    rows: tuple["DotRow", ...]
    ticks: tuple[Mark, ...]
    height: int


@dataclass(frozen=True, slots=True)
class DotRow:
    """One variant."""

    label: str
    colour: str
    y: float
    dots: tuple[float, ...]
    mean: float | None


def curves(
    title: str, runs: Mapping[str, Sequence[Points]], reference: float | None = None
) -> Curves | None:
    """Return the chart of each variant's runs; None where there is no point.

    Args:
        runs: by variant, one list of (step, value) per seed.
        reference: a value that is drawn as a horizontal line.
    """
    points = [point for some in runs.values() for one in some for point in one]
    if not points:
        return None
    values = [y for _, y in points] + ([] if reference is None else [reference])
    x = _Scale(0.0, max(x for x, _ in points), WIDTH)
    y = _Scale(min(values), max(values), HEIGHT, upside_down=True)
    lines = [
        Line(name, colour(place), " ".join(f"{x(a)},{y(b)}" for a, b in one))
        for place, (name, some) in enumerate(runs.items())
        for one in some
    ]
    mark = None if reference is None else Mark(y(reference), number(reference))
    return Curves(title, tuple(lines), x.ticks(), y.ticks(), mark)


def dots(title: str, values: Mapping[str, Sequence[float]]) -> Dots | None:
    """Return the chart of one number by variant; None where nothing is measured."""
    found = [one for some in values.values() for one in some]
    if not found:
        return None
    x = _Scale(min(found), max(found), WIDTH)
    rows = tuple(
        DotRow(
            label=name,
            colour=colour(place),
            y=DOT_ROW * (place + 0.5),
            dots=tuple(x(one) for one in some),
            mean=x(math.fsum(some) / len(some)) if some else None,
        )
        for place, (name, some) in enumerate(values.items())
    )
    return Dots(title, rows, x.ticks(), DOT_ROW * len(rows))


def colour(place: int) -> str:
    """Return the class of a variant's colour."""
    return f"c{place % COLOURS}"


class _Scale:
    """Maps values to places along an edge."""

    def __init__(self, low: float, high: float, length: float, upside_down: bool = False) -> None:
        margin = (high - low) * 0.04 or abs(high) * 0.04 or 1.0
        self.low = low - (margin if upside_down or low != 0 else 0.0)
        self.high, self.length, self.upside_down = high + margin, length, upside_down

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.length * (1 - share if self.upside_down else share), 1)

    def ticks(self) -> tuple[Mark, ...]:
        """Return marks at round values."""
        step = round_step((self.high - self.low) / TICKS)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return tuple(Mark(self(k * step), number(k * step)) for k in range(first, last + 1))
