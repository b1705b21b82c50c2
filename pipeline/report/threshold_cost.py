"""Precision, recall and kept share over a threshold on the probability, as SVG coordinates."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.html.drawing import HEIGHT, WIDTH, Mark
from pipeline.html.words import number
from pipeline.judge.landmark.calibration import CurvePoint

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One measure over the thresholds."""

    name: str
    points: str
    """Of an SVG polyline."""


@dataclass(frozen=True, slots=True)
class ThresholdPlot:
    """The curves of one clip length, with ticks and a summary in words."""

    seconds: int
    """Length of the clips that were measured."""
    lines: tuple[PlotLine, ...]
    ticks: tuple[Mark, ...]
    default: Mark
    limit: Mark | None
    """The threshold in force where it is not the default."""
    summary: str


def threshold_plots(
    measured: Sequence[CurvePoint], default: float, limit: float
) -> tuple[ThresholdPlot, ...]:
    """Return one plot per clip length, the shortest first.

    Args:
        measured: of any lengths and in any order, as the judge's file holds them.
        default: the threshold that this version of lipforge carries.
        limit: the threshold in force.
    """
    lengths = sorted({point.seconds for point in measured})
    return tuple(_plot(seconds, measured, default, limit) for seconds in lengths)


def _plot(
    seconds: int, measured: Sequence[CurvePoint], default: float, limit: float
) -> ThresholdPlot:
    own = [point for point in measured if point.seconds == seconds]
    points = sorted(own, key=lambda point: point.threshold)
    return ThresholdPlot(
        seconds=seconds,
        lines=(
            PlotLine("precision", _line([(one.threshold, one.precision) for one in points])),
            PlotLine("recall", _line([(one.threshold, one.recall) for one in points])),
            PlotLine("share", _line([(one.threshold, one.kept_share) for one in points])),
        ),
        ticks=tuple(_mark(value) for value in _TICKS),
        default=_mark(default),
        limit=_mark(limit) if limit != default else None,
        summary=_summary(points, limit),
    )


def _line(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{round(x * WIDTH, 2)},{round((1 - y) * HEIGHT, 2)}" for x, y in pairs)


def _mark(threshold: float) -> Mark:
    return Mark(round(threshold * WIDTH, 2), number(threshold))


def _summary(points: Sequence[CurvePoint], limit: float) -> str:
    """Describe the first measured point at or above the threshold in force."""
    here = bisect_left([point.threshold for point in points], limit)
    if here == len(points):
        return f"No clip was measured at {number(limit)} or more"
    one = points[here]
    return (
        f"From {number(one.threshold)} on: precision {one.precision:.3f}, "
        f"recall {one.recall:.3f}, {100 * one.kept_share:.0f} % of the clips kept"
    )
