"""Fits the evidence model: distances of one second -> log odds of in sync against foreign sound.

Examples are blocks of one second of held-out clips, at the clip's own offset, with their own sound
and with that of other people. Clips that are not probably in sync are left out: nobody knows their
offset.

Shape suffixes: N examples, W windows, K = 31 offsets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.judge.curve import MAX_OFFSET_FRAMES, filled
from pipeline.judge.evidence import BLOCK_WINDOWS, EvidenceModel, usual_distance
from pipeline.judge.landmark.calibration import Calibration
from trainers.systems.landmark_judge.cross_validation import JudgedClip
from trainers.systems.landmark_judge.logistic_regression import fit_logistic

LEAST_PROBABILITY = 0.8
"""That the clip's own offset is right."""
MOST_USUAL_SHARE = 0.9
"""Share of genuine seconds whose usual distance is believed; a larger one may be foreign sound."""
RIDGE = 1e-4
STEPS = 200


@dataclass(frozen=True, slots=True)
class EvidenceExample:
    """One second of a clip at its own offset."""

    fold: str
    distance: float
    """Mean over its windows."""
    usual: float
    """Of the clip with its own sound, also where this example has foreign sound."""
    own: bool


def evidence_examples(
    judged: Sequence[JudgedClip], calibration: Calibration
) -> list[EvidenceExample]:
    """Return the blocks of all clips that are probably in sync at some offset."""
    sure = [one for one in judged if calibration.probability(one.own) >= LEAST_PROBABILITY]
    return [example for one in sure for example in _examples(one)]


def _examples(one: JudgedClip) -> Iterator[EvidenceExample]:
    column = one.own.offset_frames + MAX_OFFSET_FRAMES
    usual = usual_distance(filled(one.own.distances))
    for own, result in [(True, one.own), *((False, other) for other in one.foreign)]:
        at_W = filled(result.distances)[:, column]
        for start in range(0, len(at_W) - BLOCK_WINDOWS + 1, BLOCK_WINDOWS // 2):
            block = at_W[start : start + BLOCK_WINDOWS]
            yield EvidenceExample(one.clip.fold, float(block.mean()), usual, own)


def fit_evidence(found: Sequence[EvidenceExample]) -> EvidenceModel:
    """Fit the logistic regression, own and foreign sound of equal weight, by Newton's method."""
    most_usual = float(np.quantile([one.usual for one in found if one.own], MOST_USUAL_SHARE))
    facts_N3 = np.array([[one.distance, min(one.usual, most_usual), 1.0] for one in found])
    own_N = np.array([one.own for one in found], np.float64)
    weight_N = np.where(own_N > 0, 0.5 / own_N.mean(), 0.5 / (1 - own_N.mean()))
    scale = np.array([facts_N3[:, 0].std(), facts_N3[:, 1].std() + 1e-9, 1.0])
    fitted = fit_logistic(facts_N3 / scale, own_N, weight_N, np.full(3, RIDGE), STEPS)
    weights = fitted / scale / BLOCK_WINDOWS
    return EvidenceModel(
        distance=float(weights[0]),
        usual=float(weights[1]),
        most_usual=most_usual,
        bias=float(weights[2]),
    )


def evidence_without(
    found: Sequence[EvidenceExample], folds: Sequence[str]
) -> dict[str, EvidenceModel]:
    """Return for every fold the model that was fitted on the others."""
    return {fold: fit_evidence([one for one in found if one.fold != fold]) for fold in folds}
