"""Curves and bars of the training report, as the coordinates of small SVG drawings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.html.drawing import HEIGHT, WIDTH, Mark, round_step
from pipeline.html.words import number
from trainers.loop.learning_curves import read_learning_curves

MOST_POINTS = 240
"""Of one line; more are averaged in groups, to limit the size of the page."""
CLIPPED_SHARE = 0.02
"""Share of the highest values drawn at the upper edge, so that the first steps do not flatten the
rest."""
COLOURS = ("first", "second", "third", "fourth")
"""Classes of the lines, in order."""
KNOWS_NOTHING = 0.693
"""Binary cross-entropy of a constant prediction of 0.5: -ln 0.5."""

Rows = Sequence[Mapping[str, float | None]]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    name: str
    colour: str
    points: str
    """Of an SVG polyline."""
    last: str
    """Its last value."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart with its captions."""

    title: str
    explanation: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]
    reference: Mark | None
    """A horizontal reference line and its label."""
    summary: str
    cut_off: str
    """What is not drawn; empty where all is."""
    over: str
    """What is on the horizontal axis."""


@dataclass(frozen=True, slots=True)
class ChartSpec:
    """What a chart shows."""

    title: str
    explanation: str
    columns: tuple[str, ...]
    reference: float | None = None
    reference_name: str = ""
    over: str = "steps"
    """What is on the horizontal axis."""


def read_table(path: Path) -> Rows | None:
    """Return the rows of a curve's file; None if it is not there."""
    return read_learning_curves(path) if path.is_file() else None


def syncnet_charts(rows: Rows) -> list[Chart]:
    """Return loss and accuracy against chance first, then every other number."""
    names = _names(rows)
    losses = ("validation/loss", *(n for n in names if n in ("train/syncnet/bce",)))
    accuracy = ("validation/accuracy", "validation/ranked")
    cosines = ("validation/cosine_in_sync", "validation/cosine_out_of_sync")
    known = "binary cross-entropy; 0.693 knows nothing"
    specs = [
        ChartSpec("Loss", known, losses, KNOWS_NOTHING, "0.693"),
        ChartSpec("Accuracy", "on held-out clips; 0.5 is chance", accuracy, 0.5, "chance"),
        ChartSpec("Cosine", "of pairs in sync and out of sync", cosines),
    ]
    rest = [name for name in names if not any(name in spec.columns for spec in specs)]
    return drawn_charts(rows, [*specs, *_by_term(rest)])


def term_charts(rows: Rows) -> list[Chart]:
    """Return one chart per number, training and validation together."""
    return drawn_charts(rows, _by_term(_names(rows)))


def learning_chart(losses: Sequence[float]) -> Chart | None:
    """Return the chart of the pre-flight's fit to one batch."""
    rows: Rows = [{"step": float(step), "loss": loss} for step, loss in enumerate(losses)]
    told = "loss over the steps on the same windows"
    charts = drawn_charts(
        rows, [ChartSpec("One batch by heart", told, ("loss",), KNOWS_NOTHING, "0.693")]
    )
    return charts[0] if charts else None


def _names(rows: Rows) -> list[str]:
    return [name for name in (rows[0] if rows else {}) if name != "step"]


def _by_term(names: Sequence[str]) -> list[ChartSpec]:
    """Put `train/<player>/noise` and `validation/noise` into one chart; losses come first."""
    terms: dict[str, list[str]] = {}
    for name in names:
        terms.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    late = ("gradient_norm", "learning_rate")
    ordered = sorted(terms, key=lambda term: (term in late, -len(terms[term]), term))
    return [ChartSpec(_title(term), "", tuple(terms[term])) for term in ordered]


def _title(term: str) -> str:
    words = term.replace("_", " ")
    return words[:1].upper() + words[1:]


def drawn_charts(rows: Rows, specs: Sequence[ChartSpec]) -> list[Chart]:
    """Return the charts that have numbers; `step` is on the horizontal axis."""
    return [chart for spec in specs if (chart := _chart(rows, spec)) is not None]


def _chart(rows: Rows, spec: ChartSpec) -> Chart | None:
    series = {name: found for name in spec.columns if (found := _series(rows, name))}
    if not series:
        return None
    x_scale = _Scale.over([x for points in series.values() for x, _ in points], WIDTH, (0.0,))
    references = () if spec.reference is None else (spec.reference,)
    values = [y for points in series.values() for _, y in points]
    y_scale = _Scale.over(_without_peaks(values), -HEIGHT, references)
    lines = [
        Line(name, COLOURS[place % len(COLOURS)], _drawn(points, x_scale, y_scale), _label(last))
        for place, (name, points) in enumerate(series.items())
        for last in [points[-1][1]]
    ]
    return Chart(
        title=spec.title,
        explanation=spec.explanation,
        lines=tuple(lines),
        x_ticks=x_scale.ticks(4),
        y_ticks=y_scale.ticks(4),
        reference=_reference(spec, y_scale),
        summary=_summary(series),
        cut_off=f"Peaks up to {number(max(values))} are cut off."
        if max(values) > y_scale.high
        else "",
        over=spec.over,
    )


def _series(rows: Rows, name: str) -> Points:
    """Return the known values of a column, neighbours averaged if there are too many."""
    pairs = [
        (float(row["step"] or 0), value) for row in rows if (value := row.get(name)) is not None
    ]
    size = math.ceil(len(pairs) / MOST_POINTS)
    groups = [pairs[first : first + size] for first in range(0, len(pairs), max(size, 1))]
    return [(group[-1][0], math.fsum(value for _, value in group) / len(group)) for group in groups]


def _without_peaks(values: Sequence[float]) -> list[float]:
    """Leave out the highest values if they would flatten the rest."""
    ordered = sorted(values)
    kept = ordered[: max(1, math.ceil(len(ordered) * (1 - CLIPPED_SHARE)))]
    low, high = kept[0], kept[-1]
    return kept if ordered[-1] - low > 2 * (high - low) else ordered


def _drawn(points: Points, x_scale: "_Scale", y_scale: "_Scale") -> str:
    return " ".join(f"{x_scale.place(x)},{y_scale.place(y)}" for x, y in points)


def _reference(spec: ChartSpec, scale: "_Scale") -> Mark | None:
    if spec.reference is None:
        return None
    return Mark(scale.place(spec.reference), spec.reference_name)


def _summary(series: Mapping[str, Points]) -> str:
    return ", ".join(
        f"{name} from {number(points[0][1])} to {number(points[-1][1])}"
        for name, points in series.items()
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values from `low` to `high` over so many units; a negative length points upwards."""

    low: float
    high: float
    length: float

    @classmethod
    def over(cls, values: Sequence[float], length: float, references: Sequence[float]) -> "_Scale":
        low, high = min((*values, *references)), max((*values, *references))
        margin = 0.06 * (high - low) if length < 0 else 0.0
        if high == low:
            margin = abs(high) / 10 or 1.0
        return cls(low - margin, high + margin, length)

    def place(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return round((1 - share) * -self.length if self.length < 0 else share * self.length, 2)

    def ticks(self, wanted: int) -> tuple[Mark, ...]:
        step = round_step((self.high - self.low) / wanted)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [index * step for index in range(first, last + 1)]
        return tuple(Mark(self.place(value), _label(value)) for value in values)


def _label(value: float) -> str:
    """Return a short label for a number: 1.5e-4 for 0.00015."""
    if not 0 < abs(value) < 1e-3:
        return number(value)
    mantissa, exponent = f"{value:.2e}".split("e")
    shortest = f"{float(mantissa):g}e{int(exponent)}"
    return shortest.replace("-", "\N{MINUS SIGN}")
