"""The section on the judge: which judge scored, its confidence, what its threshold costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.html.drawing import Histogram, Measure
from pipeline.judge.landmark.calibration import CurvePoint
from pipeline.params.curation import SelectParams
from pipeline.report.histogram import histogram
from pipeline.report.reported_clips import ReportedClip
from pipeline.report.threshold_cost import ThresholdPlot, threshold_plots
from pipeline.tables.judges_used import fallback_notes, judges_used
from pipeline.tables.run_tables import RunTables


@dataclass(frozen=True, slots=True)
class JudgeSummary:
    """One judge's part of the section."""

    name: str
    modes: tuple[str, ...]
    clips: int
    trust: Histogram
    curves: tuple[ThresholdPlot, ...]
    calibrated: bool


@dataclass(frozen=True, slots=True)
class JudgeSection:
    """The whole section."""

    judges: tuple[JudgeSummary, ...]
    warnings: tuple[str, ...]
    """Fallbacks: another judge than the one asked for."""


def judge_section(
    tables: RunTables,
    clips: Sequence[ReportedClip],
    select: SelectParams,
    measured: Sequence[CurvePoint],
) -> JudgeSection:
    """Collect the clips, modes and confidences of each judge.

    Args:
        measured: precision and recall of the landmark judge over its threshold.
    """
    used = judges_used(tables.records("sync"))
    names = sorted({one["judge"] for one in used})
    found = []
    for name in names:
        modes = tuple(sorted({one["mode"] for one in used if one["judge"] == name}))
        own = [clip for clip in clips if clip.sync and clip.sync["judge"] == name]
        found.append(_judge(name, modes, own, select, measured))
    return JudgeSection(tuple(found), tuple(fallback_notes(used)))


def _judge(
    name: str,
    modes: tuple[str, ...],
    clips: Sequence[ReportedClip],
    select: SelectParams,
    measured: Sequence[CurvePoint],
) -> JudgeSummary:
    calibrated = name == "landmark"
    default, limit = SelectParams().landmark_min_probability, select.landmark_min_probability
    curves = threshold_plots(measured, default, limit) if calibrated else ()
    drawn = histogram(_measure(name, select), clips)
    return JudgeSummary(
        name, modes, len({clip.clip_id for clip in clips}), drawn, curves, calibrated
    )


def _measure(judge: str, select: SelectParams) -> Measure:
    """Return the quantity on which the judge has its threshold."""
    if judge == "landmark":
        words = "calibrated: that the offset is right within one frame"
        limits: tuple[float, ...] = (select.landmark_min_probability,)
        return Measure("probability", "Probability", "", words, 0.025, limits)
    limits = (select.syncnet_min_confidence,)
    return Measure("confidence", "LSE-C", "", "SyncNet's confidence", 0.25, limits)
