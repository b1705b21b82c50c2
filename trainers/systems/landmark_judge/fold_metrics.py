"""Metrics of the model card, from judged clips and their reference offsets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.judge.curve import JudgeResult
from pipeline.judge.landmark.calibration import Calibration
from pipeline.roc import area_under_curve
from trainers.systems.landmark_judge.calibration_fit import CalibrationExample, fit_calibration
from trainers.systems.landmark_judge.cross_validation import (
    JudgedClip,
    nearest_to_zero,
    shift_followed,
)
from trainers.systems.landmark_judge.lip_audio_correlation import CorrelationPeak
from trainers.systems.landmark_judge.reference_offsets import ReferenceOffset


@dataclass(frozen=True, slots=True)
class FoldMetrics:
    """One row of the card's first table. Shares are 0 ... 1; None where there is no clip for it."""

    clips: int
    """Of 4 s and more."""
    in_sync: int
    within_1: float | None
    """In-sync clips whose offset is -1, 0 or +1."""
    within_2: float | None
    with_correlation: int
    """Clips, in sync or not, of files on which the correlation is clear."""
    near_correlation: float | None
    """Their share whose offset lies within one frame of the correlation's."""
    auc_foreign: float | None
    """Probability with the clip's own sound against the same picture with foreign speech."""
    auc_shifted: float | None
    """Probability of an offset within one frame of 0: as it is against shifted by 5 to 15."""
    auc_foreign_all: float | None
    """The same with the clips that are not in sync."""
    shift_followed: float | None
    raw_within_1: float | None
    """Of all clips, also the ones that are not in sync."""
    raw_within_2: float | None


def fold_metrics(
    judged: Sequence[JudgedClip],
    truth: Mapping[str, ReferenceOffset],
    correlation: Mapping[str, CorrelationPeak],
    without: Mapping[str, Calibration],
) -> FoldMetrics:
    """Measure clips of 4 s and more.

    Args:
        without: fold -> the calibration that was fitted without it.
    """
    clips = [one for one in judged if one.long_enough]
    in_sync = [one for one in clips if truth[one.clip.name].in_sync]
    seen = [(one, correlation[one.clip.name]) for one in clips if correlation[one.clip.name].clear]
    followed = [right for one in clips for right in shift_followed(one)]
    return FoldMetrics(
        clips=len(clips),
        in_sync=len(in_sync),
        within_1=_share([abs(one.own.offset_frames) <= 1 for one in in_sync]),
        within_2=_share([abs(one.own.offset_frames) <= 2 for one in in_sync]),
        with_correlation=len(seen),
        near_correlation=_share([peak.agrees_with(one.own.offset_subframe) for one, peak in seen]),
        auc_foreign=_auc_foreign(in_sync, without),
        auc_shifted=_auc_shifted(in_sync, without),
        auc_foreign_all=_auc_foreign(clips, without),
        shift_followed=_share(followed),
        raw_within_1=_share([abs(one.own.offset_frames) <= 1 for one in clips]),
        raw_within_2=_share([abs(one.own.offset_frames) <= 2 for one in clips]),
    )


def metrics_by_fold(
    judged: Sequence[JudgedClip],
    truth: Mapping[str, ReferenceOffset],
    correlation: Mapping[str, CorrelationPeak],
    found: Sequence[CalibrationExample],
) -> dict[str, FoldMetrics]:
    """Measure every fold, each with a calibration fitted on the others, then all clips together."""
    without = {
        fold: fit_calibration([one for one in found if one.fold != fold])
        for fold in sorted({one.clip.fold for one in judged})
    }
    rows = {
        fold: fold_metrics(
            [one for one in judged if one.clip.fold == fold], truth, correlation, without
        )
        for fold in without
    }
    return rows | {"**all**": fold_metrics(judged, truth, correlation, without)}


def _share(answers: Sequence[bool]) -> float | None:
    return float(np.mean(answers)) if answers else None


def _auc_foreign(clips: Sequence[JudgedClip], without: Mapping[str, Calibration]) -> float | None:
    own = [without[one.clip.fold].probability(one.own) for one in clips]
    foreign = [without[one.clip.fold].probability(r) for one in clips for r in one.foreign]
    return area_under_curve(own, foreign) if own and foreign else None


def _auc_shifted(clips: Sequence[JudgedClip], without: Mapping[str, Calibration]) -> float | None:
    def near_zero(one: JudgedClip, result: JudgeResult) -> float:
        at = nearest_to_zero(result.curve)
        return without[one.clip.fold].probability_at(result, at)

    own = [near_zero(one, one.own) for one in clips]
    moved = [near_zero(one, result) for one in clips for result in one.shifted.values()]
    return area_under_curve(own, moved) if own and moved else None
