"""Histograms of accepted and rejected clips, as the coordinates of a small SVG drawing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.html.drawing import HEIGHT, WIDTH, Bar, Histogram, Mark, Measure, round_step
from pipeline.html.words import number
from pipeline.params.curation import SelectParams
from pipeline.report.reported_clips import ReportedClip

_MOST_BARS = 31
_FEWEST_BARS = 9
"""Equal values make one bar among empty places, not one that fills the drawing."""
_TAIL_SHARE = 0.005
"""Values above this share of all go into the last bar, so that one outlier flattens nothing."""


def measures(select: SelectParams) -> list[Measure]:
    """Return what the report shows, with the thresholds in force."""
    s = select
    drift = (-s.max_drift_frames, s.max_drift_frames)
    span = (-float(s.max_offset_frames), float(s.max_offset_frames))
    return [
        Measure("offset_frames", "A/V offset", "frames", "positive: audio early", 1, span, True),
        Measure("drift_frames", "Drift", "frames", "of the offset along the clip", 0.25, drift),
        Measure("face_px", "Face size", "px", "longer side, in the source", 10, (s.min_face_px,)),
        Measure("duration_s", "Duration", "s", "of the clip", 0.5),
        Measure("yaw_deg", "Yaw", "°", "95th percentile of |yaw|", 2.5, (s.max_yaw_deg,)),
        Measure("pitch_deg", "Pitch", "°", "95th percentile of |pitch|", 2.5, (s.max_pitch_deg,)),
        Measure("speech_share", "Speech share", "", "share of time", 0.05, (s.min_speech_share,)),
        Measure("snr_db", "Speech to noise", "dB", "0 without speech", 2.5, (s.min_snr_db,)),
        Measure("sharpness", "Sharpness", "", "Laplacian variance", 2.5, (s.min_sharpness,)),
        Measure(
            "mouth_movement",
            "Mouth movement",
            "",
            "lip opening, std / eye distance",
            0.005,
            (s.min_mouth_movement,),
        ),
        Measure("jitter", "Landmark jitter", "", "RMS / eye distance", 0.002, (s.max_jitter,)),
    ]


def histogram(measure: Measure, clips: Sequence[ReportedClip]) -> Histogram:
    """Count and place the bars. Clips that were not measured are named in the summary."""
    pairs = [
        (value, c.ending == "accepted")
        for c in clips
        if (value := c.value(measure.column)) is not None
    ]
    values = sorted(value for value, _ in pairs)
    if not values:
        return Histogram(measure, (), (), (), 0, "No clip was measured")
    grid = _grid(values, measure)
    bars, highest = _bars(pairs, grid)
    scale = _Scale(grid.start(0), grid.step * grid.count)
    return Histogram(
        measure=measure,
        bars=bars,
        ticks=scale.ticks(measure.whole),
        limits=tuple(Mark(scale.x(v), number(v)) for v in measure.limits if scale.holds(v)),
        highest=highest,
        summary=_summary(values, pairs, len(clips) - len(pairs), measure.unit),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    start: float
    span: float

    def x(self, value: float) -> float:
        return round((value - self.start) / self.span * WIDTH, 2)

    def holds(self, value: float) -> bool:
        return self.start <= value <= self.start + self.span

    def ticks(self, whole: bool) -> tuple[Mark, ...]:
        step = round_step(self.span / 6)
        step = max(1.0, math.ceil(step)) if whole else step
        first = math.ceil(self.start / step - 1e-9)
        last = math.floor((self.start + self.span) / step + 1e-9)
        places = [index * step for index in range(first, last + 1)]
        return tuple(Mark(self.x(value), number(value)) for value in places)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Bars of width `step`, the first of them number `first` counted from 0."""

    step: float
    first: int
    count: int
    shift: float

    def index(self, value: float) -> int:
        found = math.floor(value / self.step + self.shift + 1e-9) - self.first
        return min(found, self.count - 1)

    def start(self, index: int) -> float:
        return (self.first + index - self.shift) * self.step

    def label(self, index: int) -> str:
        start = self.start(index)
        if self.shift:
            return number(start + self.shift * self.step)
        more = " or more" if index == self.count - 1 else f" to {number(start + self.step)}"
        return number(start) + more


def _grid(values: Sequence[float], measure: Measure) -> _Grid:
    low, high = values[0], values[math.ceil((1 - _TAIL_SHARE) * len(values)) - 1]
    step = max(measure.step, round_step((high - low) / _MOST_BARS))
    first = math.floor(low / step + measure.shift + 1e-9)
    last = math.floor(high / step + measure.shift + 1e-9)
    missing = max(0, _FEWEST_BARS - (last - first + 1))
    before = missing // 2 if measure.whole else min(missing // 2, max(first, 0))
    return _Grid(step, first - before, last - first + 1 + missing, measure.shift)


def _bars(pairs: Sequence[tuple[float, bool]], grid: _Grid) -> tuple[tuple[Bar, ...], int]:
    counts = [[0, 0] for _ in range(grid.count)]
    for value, accepted in pairs:
        counts[grid.index(value)][not accepted] += 1
    highest = max(sum(pair) for pair in counts)
    return tuple(_bar(i, pair, grid, highest) for i, pair in enumerate(counts)), highest


def _bar(index: int, pair: list[int], grid: _Grid, highest: int) -> Bar:
    accepted, rejected = pair
    return Bar(
        x=round(index * WIDTH / grid.count, 2),
        width=round(WIDTH / grid.count, 2),
        accepted=accepted,
        rejected=rejected,
        accepted_height=round(accepted / highest * HEIGHT, 2),
        rejected_height=round(rejected / highest * HEIGHT, 2),
        label=f"{grid.label(index)}: {accepted} accepted, {rejected} rejected",
    )


def _summary(
    values: Sequence[float], pairs: Sequence[tuple[float, bool]], missing: int, unit: str
) -> str:
    accepted = sorted(value for value, kept in pairs if kept)
    parts = [f"Median of all {_with_unit(_median(values), unit)}"]
    if accepted:
        parts.append(f"of accepted {_with_unit(_median(accepted), unit)}")
    if missing:
        parts.append(f"{missing} not measured")
    return ", ".join(parts)


def _median(ordered: Sequence[float]) -> float:
    return ordered[len(ordered) // 2]


def _with_unit(value: float, unit: str) -> str:
    return number(value) + {"": "", "°": "°"}.get(unit, f" {unit}")
