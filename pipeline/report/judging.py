"""The section on the judge: who scored, how sure it was, and what its threshold costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.judge.landmark.calibration import CurvePoint
from pipeline.params.curation import SelectParams
from pipeline.report.clips import ClipFacts, Tables
from pipeline.report.histogram import Histogram, Measure, histogram
from pipeline.report.threshold_cost import Plot, plots
from pipeline.tables.judges_used import fallback_notes, judges_used


@dataclass(frozen=True, slots=True)
class JudgeFacts:
    """One judge's part of the section."""

    name: str
    modes: tuple[str, ...]
    clips: int
    trust: Histogram
    curves: tuple[Plot, ...]
    calibrated: bool


@dataclass(frozen=True, slots=True)
class Judging:
    """The whole section."""

    judges: tuple[JudgeFacts, ...]
    warnings: tuple[str, ...]
    """Fallbacks: another judge than the one asked for."""


def judging(
    tables: Tables,
    clips: Sequence[ClipFacts],
    select: SelectParams,
    measured: Sequence[CurvePoint],
) -> Judging:
    """Collect what the tables say of the judges.

    Args:
        measured: what thresholds of the landmark judge cost.
    """
    used = judges_used(tables.rows["sync"])
    names = sorted({one["judge"] for one in used})
    found = []
    for name in names:
        modes = tuple(sorted({one["mode"] for one in used if one["judge"] == name}))
        own = [clip for clip in clips if clip.sync and clip.sync["judge"] == name]
        found.append(_judge(name, modes, own, select, measured))
    return Judging(tuple(found), tuple(fallback_notes(used)))


def _judge(
    name: str,
    modes: tuple[str, ...],
    clips: Sequence[ClipFacts],
    select: SelectParams,
    measured: Sequence[CurvePoint],
) -> JudgeFacts:
    calibrated = name == "landmark"
    default, limit = SelectParams().landmark_min_probability, select.landmark_min_probability
    curves = plots(measured, default, limit) if calibrated else ()
    drawn = histogram(_measure(name, select), clips)
    return JudgeFacts(name, modes, len(clips), drawn, curves, calibrated)


def _measure(judge: str, select: SelectParams) -> Measure:
    """Return the quantity on which the judge has its threshold."""
    if judge == "landmark":
        words = "calibrated: that the offset is right within one frame"
        limits: tuple[float, ...] = (select.landmark_min_probability,)
        return Measure("probability", "Probability", "", words, 0.025, limits)
    limits = (select.syncnet_min_confidence,)
    return Measure("confidence", "LSE-C", "", "SyncNet's confidence", 0.25, limits)
