"""Results of the cross-validation, and their text in the model card."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.curve import JudgeResult
from pipeline.judge.drift import drift_frames
from pipeline.judge.evidence import EvidenceModel
from pipeline.judge.landmark.calibration import Calibration
from pipeline.judge.landmark.judge import DRIFT_MIN_PROBABILITY
from pipeline.params.curation import SelectParams
from trainers.systems.landmark_judge import card_tables
from trainers.systems.landmark_judge.calibration_fit import (
    PRECISION_TARGET,
    TARGET_SECONDS,
    CalibrationExample,
    default_threshold,
)
from trainers.systems.landmark_judge.cross_validation import (
    DRIFTS_FRAMES,
    SEGMENT_SECONDS,
    JudgedClip,
)
from trainers.systems.landmark_judge.fold_metrics import metrics_by_fold
from trainers.systems.landmark_judge.label_cleaning import judge_clip
from trainers.systems.landmark_judge.lip_audio_correlation import (
    AUDIBLE,
    CLEAR,
    CorrelationPeak,
    chance_rate,
)
from trainers.systems.landmark_judge.network import LandmarkSyncNet
from trainers.systems.landmark_judge.reference_offsets import ReferenceOffset, reference_offsets
from trainers.systems.landmark_judge.speech_clips import SpeechClip
from trainers.systems.landmark_judge.stretch_metrics import seconds_kept, spoilt_shares, usable
from trainers.systems.landmark_judge.training_clips import (
    CONDITIONS,
    HELD_OUT,
    MUSIC,
    SEVERAL_SPEAKERS,
    SILENT,
)

MAX_DRIFT_FRAMES = SelectParams().max_drift_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutResults:
    """Held-out answers of every fold and what follows from them."""

    judged: list[JudgedClip]
    other_backend: list[tuple[SpeechClip, JudgeResult]]
    correlation: dict[str, CorrelationPeak]
    truth: dict[str, ReferenceOffset]
    examples: list[CalibrationExample]
    probabilities: NDArray[np.float64]
    """Of every example, by a calibration fitted without its fold."""
    calibration: Calibration
    evidence: EvidenceModel
    evidence_without: dict[str, EvidenceModel]
    """Fold -> the model that was fitted without it."""


def card_text(
    found: HeldOutResults, networks: Sequence[LandmarkSyncNet], everything: Sequence[SpeechClip]
) -> str:
    """Return the tables as Markdown."""
    figures = metrics_by_fold(found.judged, found.truth, found.correlation, found.examples)
    alone = reference_offsets(found.judged, found.correlation, independent=True)
    independent = metrics_by_fold(found.judged, alone, found.correlation, found.examples)
    chance = [chance_rate([one.clip for one in found.judged], limit) for limit in (CLEAR, AUDIBLE)]
    blocks = [
        card_tables.fold_table(figures),
        "Other ideas of what is in sync: references on which the judge has no vote (files marked "
        "`both` or `judge` below count as in sync), and every clip:",
        card_tables.raw_table(figures, independent),
        "Out of sync:",
        card_tables.suspect_table(found.judged, found.truth, found.correlation),
        f"With the sound of another file, {chance[0]:.0%} of the files seem clear to the "
        f"correlation and {chance[1]:.0%} audible, somewhere within 10 frames of 0.",
        "Errors: the offset is more than a frame from the reference:",
        card_tables.error_table(found.judged, found.truth),
        "By condition (held-out sources):",
        condition_table(found),
        "Drift (held-out sources, clips of 4 s and more that are probably right):",
        drift_table(found),
        "Clips that are wrong in part (held-out sources, real clips of 4 s and more of probability "
        "0.8 and more, each judged alone; the evidence model fitted without the source). Kept with "
        "more than one second of wrong sound inside:",
        stretch_table(found),
        "Both landmark backends (held-out sources, clips of 4 s and more):",
        card_tables.backend_table(
            found.other_backend, found.judged, found.truth, found.calibration
        ),
        "Calibration (held-out sources, pieces of 2 to 8 s and whole clips):",
        card_tables.reliability_table(found.examples, found.probabilities),
        f"Lowest threshold with precision {PRECISION_TARGET} at {TARGET_SECONDS} s and more: "
        f"**{default_threshold(found.calibration.points)}**.",
        card_tables.length_table(found.examples, found.probabilities),
        *[
            card_tables.threshold_table(found.calibration.points, seconds)
            for seconds in SEGMENT_SECONDS
        ],
        "The shipped networks on clips that nothing was trained on:",
        card_tables.answers_table(_never_trained_on(found, networks, everything)),
    ]
    return "\n\n".join(blocks)


def condition_table(found: HeldOutResults) -> str:
    """How the judge does where it is hard."""
    whole = [(e, p) for e, p in zip(found.examples, found.probabilities, strict=True)]
    own = [p for e, p in whole if e.seconds == 0 and e.genuine]
    answers = list(zip(found.judged, own, strict=True))
    rows = []
    for condition, names in CONDITIONS.items():
        inside = [(one, p) for one, p in answers if one.clip.name in names]
        right = [found.truth[o.clip.name].right(o.own.offset_frames) for o, _ in inside]
        typical = f"{np.median([p for _, p in inside]):.3f}" if inside else "-"
        rows.append((condition, str(len(inside)), str(sum(right)), typical))
    return card_tables.table(("condition", "clips", "right within 1", "median probability"), rows)


def stretch_table(found: HeldOutResults) -> str:
    """What is kept of clips with a foreign end or lost sound, and of unspoilt ones."""
    clips = usable(found.judged, found.calibration)
    kept = seconds_kept(clips, found.evidence_without)
    rows = [(f"none ({len(clips)} clips)", "-", f"{kept:.1%} of the seconds kept")]
    for one in spoilt_shares(clips, found.evidence_without):
        what = {"foreign": f"last {one.amount:.0%} foreign", "lost": f"{one.amount:g} frames lost"}
        rows.append((what[one.kind], str(one.clips), f"{one.wrong / one.clips:.1%}"))
    return card_tables.table(("spoilt", "clips", "wrong and kept"), rows)


def drift_table(found: HeldOutResults) -> str:
    """What is found of a drift that was made by stretching the sound."""
    rows = []
    for made in DRIFTS_FRAMES:
        answers = [
            drift_frames(one.drifting[made].distances)
            for one in found.judged
            if made in one.drifting
            and found.calibration.probability(one.drifting[made]) >= DRIFT_MIN_PROBABILITY
        ]
        known = np.array([answer for answer in answers if answer is not None])
        low, middle, high = np.quantile(known, (0.05, 0.5, 0.95)) if len(known) else (np.nan,) * 3
        over = f"{np.mean(np.abs(known) > MAX_DRIFT_FRAMES):.0%}" if len(known) else "-"
        cells = (f"{value:+.1f}" for value in (low, middle, high))
        rows.append((f"{made:+d}", str(len(known)), *cells, over))
    head = ("made", "clips", "found, 5 %", "median", "95 %", f"over {MAX_DRIFT_FRAMES:g}")
    return card_tables.table(head, rows)


def _never_trained_on(
    found: HeldOutResults, networks: Sequence[LandmarkSyncNet], everything: Sequence[SpeechClip]
) -> list[tuple[str, SpeechClip, JudgeResult]]:
    groups = [
        (HELD_OUT, ""),
        (SILENT, ", no sound"),
        (MUSIC, ", no speech"),
        (SEVERAL_SPEAKERS, ", several faces"),
    ]
    ordered = sorted(everything, key=lambda clip: (clip.name, clip.clip_id))
    return [
        (clip.name + what, clip, judge_clip(networks, clip, found.calibration))
        for names, what in groups
        for clip in ordered
        if clip.name in names
    ]
