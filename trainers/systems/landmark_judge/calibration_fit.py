"""Fits the judge's calibration: features of a distance curve -> probability of being right.

Examples are whole clips and pieces of 2 to 8 s of held-out sources. With its own sound a piece is
right when its offset lies within one frame of the reference; with somebody else's no offset is.
The examples weigh as in a collection of which a quarter is dubbed: for a better one the
probabilities are too low, for a worse one too high.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.curve import MAX_OFFSET_FRAMES, JudgeResult
from pipeline.judge.landmark.calibration import Calibration, CurvePoint, facts
from trainers.systems.landmark_judge.cross_validation import SEGMENT_SECONDS, JudgedClip
from trainers.systems.landmark_judge.logistic_regression import fit_logistic
from trainers.systems.landmark_judge.reference_offsets import ReferenceOffset

DUBBED_SHARE = 0.25
"""Share of foreign sound that the probabilities assume: voice-overs, translations, listeners."""
PRECISION_TARGET = 0.97
TARGET_SECONDS = 3
"""The target must be met by clips of this length, the shortest that `faces` cuts, and longer."""
RIDGE = 1e-3
BIAS_RIDGE_SHARE = 1e-6
"""Of the ridge: the bias is hardly penalised."""
STEPS = 100
THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99)

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CalibrationExample:
    """One answer of a judge, and whether it was right."""

    fold: str
    seconds: int
    """Length of the piece; 0 for a whole clip."""
    result: JudgeResult
    genuine: bool
    right: bool


def examples(
    judged: Sequence[JudgedClip], truth: Mapping[str, ReferenceOffset]
) -> list[CalibrationExample]:
    """Return every clip and piece, with its own and with foreign sound."""
    found = []
    for one in judged:
        reference = truth[one.clip.name]
        pairs = [(0, one.own, other) for other in one.foreign[:1]]
        pairs += [(s, own, other) for s, both in one.pieces.items() for own, other in both]
        for seconds, own, other in pairs:
            right = reference.right(own.offset_frames)
            found.append(CalibrationExample(one.clip.fold, seconds, own, True, right))
            found.append(CalibrationExample(one.clip.fold, seconds, other, False, False))
    return found


def fit_calibration(found: Sequence[CalibrationExample]) -> Calibration:
    """Fit a logistic regression by Newton's method."""
    best = [one.result.offset_frames + MAX_OFFSET_FRAMES for one in found]
    facts_NF = np.stack([facts(one.result, at) for one, at in zip(found, best, strict=True)])
    low, high = facts_NF.min(axis=0), facts_NF.max(axis=0)
    mean, spread = facts_NF.mean(axis=0), facts_NF.std(axis=0) + 1e-9
    right = np.array([one.right for one in found], dtype=np.float64)
    x_NF = np.c_[(facts_NF - mean) / spread, np.ones(len(right))]
    penalty_F = RIDGE * np.array([*np.ones(len(mean)), BIAS_RIDGE_SHARE])
    weights = fit_logistic(x_NF, right, example_weights(found), penalty_F, STEPS)
    return Calibration(
        mean=mean.tolist(),
        spread=spread.tolist(),
        low=low.tolist(),
        high=high.tolist(),
        weights=weights[:-1].tolist(),
        bias=float(weights[-1]),
    )


def held_out_probabilities(found: Sequence[CalibrationExample]) -> Doubles:
    """Return each example's probability by a calibration fitted without its fold."""
    answer = np.zeros(len(found))
    for fold in sorted({one.fold for one in found}):
        fitted = fit_calibration([one for one in found if one.fold != fold])
        for index, one in enumerate(found):
            if one.fold == fold:
                answer[index] = fitted.probability(one.result)
    return answer


def curve_points(found: Sequence[CalibrationExample], probabilities: Doubles) -> list[CurvePoint]:
    """Return precision and recall against the threshold, by length of the piece."""
    weights = example_weights(found)
    seconds = np.array([one.seconds for one in found])
    right = np.array([one.right for one in found])
    genuine = np.array([one.genuine for one in found])
    return [
        _point(s, t, (probabilities >= t)[at], right[at], genuine[at], weights[at])
        for s in SEGMENT_SECONDS
        for at in [seconds == s]
        for t in THRESHOLDS
    ]


def _point(
    seconds: int,
    threshold: float,
    kept: NDArray[np.bool_],
    right: NDArray[np.bool_],
    genuine: NDArray[np.bool_],
    weights: Doubles,
) -> CurvePoint:
    good, all_kept = float(weights[kept & right].sum()), float(weights[kept].sum())
    return CurvePoint(
        seconds=seconds,
        threshold=threshold,
        precision=good / all_kept if all_kept else 1.0,
        recall=good / max(float(weights[genuine].sum()), 1e-9),
        kept_share=all_kept / max(float(weights.sum()), 1e-9),
    )


def default_threshold(points: Sequence[CurvePoint]) -> float:
    """Return the lowest threshold whose precision meets the target at every length that counts."""
    met = [
        threshold
        for threshold in sorted({point.threshold for point in points})
        if all(
            point.precision >= PRECISION_TARGET
            for point in points
            if point.threshold >= threshold and point.seconds >= TARGET_SECONDS
        )
    ]
    return min(met, default=1.0)


def example_weights(found: Sequence[CalibrationExample]) -> Doubles:
    """Return weights of mean 1 that give `DUBBED_SHARE` to the examples with foreign sound."""
    genuine = np.array([one.genuine for one in found])
    share = float(genuine.mean())
    weights = np.where(genuine, (1 - DUBBED_SHARE) / share, DUBBED_SHARE / (1 - share))
    return np.asarray(weights)
