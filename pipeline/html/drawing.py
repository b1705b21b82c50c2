"""Histograms as the coordinates of a small SVG drawing; the templates turn them into lines."""

import math
from dataclasses import dataclass

WIDTH, HEIGHT = 320, 120
"""Units of the drawing area, without labels."""
_ROUND = (1.0, 2.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class Measure:
    """What one histogram shows."""

    column: str
    title: str
    unit: str
    explanation: str
    step: float
    """Smallest width of a bar; doubled in nice numbers until at most 31 bars are left."""
    limits: tuple[float, ...] = ()
    """Thresholds of `select`, drawn as lines."""
    whole: bool = False
    """The values are whole numbers: a bar is centred on its value."""

    @property
    def shift(self) -> float:
        """Return what a bar starts before its value, in bars."""
        return 0.5 if self.whole else 0.0


@dataclass(frozen=True, slots=True)
class Bar:
    """Accepted clips below, rejected ones on top."""

    x: float
    width: float
    accepted: int
    rejected: int
    accepted_height: float
    rejected_height: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick or a threshold: place and number."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """A drawing with its words."""

    measure: Measure
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    limits: tuple[Mark, ...]
    highest: int
    summary: str


def round_step(value: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is not below `value`."""
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((n * power for n in _ROUND if n * power >= value * (1 - 1e-9)), 10 * power)
