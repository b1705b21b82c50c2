"""Histograms as the coordinates of a small SVG drawing; the templates turn them into lines."""

from dataclasses import dataclass

WIDTH, HEIGHT = 320, 120
"""Units of the drawing area, without labels."""


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
