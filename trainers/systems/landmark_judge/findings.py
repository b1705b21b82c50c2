"""All that the folds have shown, and its telling in the model card."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.curve import JudgeResult
from pipeline.judge.drift import drift_frames
from pipeline.judge.landmark.calibration import Calibration
from pipeline.judge.landmark.judge import DRIFT_MIN_PROBABILITY
from pipeline.judge.landmark.network import LandmarkSyncNet
from pipeline.params.curation import SelectParams
from trainers.systems.landmark_judge import card as sync_card
from trainers.systems.landmark_judge.calibration_fit import (
    PRECISION_TARGET,
    TARGET_SECONDS,
    Example,
    default_threshold,
)
from trainers.systems.landmark_judge.cleaning import judge_clip
from trainers.systems.landmark_judge.data import SpeechClip
from trainers.systems.landmark_judge.folds import DRIFTS_FRAMES, SEGMENT_SECONDS, Judged
from trainers.systems.landmark_judge.lip_audio_correlation import (
    AUDIBLE,
    CLEAR,
    Evidence,
    chance_of,
)
from trainers.systems.landmark_judge.measures import all_figures
from trainers.systems.landmark_judge.reference import Reference, references
from trainers.systems.landmark_judge.sources import (
    CONDITIONS,
    HELD_OUT,
    MUSIC,
    SEVERAL_SPEAKERS,
    SILENT,
)

MAX_DRIFT_FRAMES = SelectParams().max_drift_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Held-out answers of every fold and what follows from them."""

    judged: list[Judged]
    other_backend: list[tuple[SpeechClip, JudgeResult]]
    witness: dict[str, Evidence]
    truth: dict[str, Reference]
    examples: list[Example]
    probabilities: NDArray[np.float64]
    """Of every example, by a calibration fitted without its fold."""
    calibration: Calibration


def measured_part(
    found: Findings, networks: Sequence[LandmarkSyncNet], everything: Sequence[SpeechClip]
) -> str:
    """Return the tables as Markdown."""
    figures = all_figures(found.judged, found.truth, found.witness, found.examples)
    alone = references(found.judged, found.witness, independent=True)
    independent = all_figures(found.judged, alone, found.witness, found.examples)
    chance = [chance_of([one.clip for one in found.judged], limit) for limit in (CLEAR, AUDIBLE)]
    blocks = [
        sync_card.fold_table(figures),
        "Other ideas of what is in sync: references on which the judge has no vote (files marked "
        "`both` or `judge` below count as in sync), and every clip:",
        sync_card.raw_table(figures, independent),
        "Out of sync:",
        sync_card.suspect_table(found.judged, found.truth, found.witness),
        f"With the sound of another file, {chance[0]:.0%} of the files seem clear to the "
        f"correlation and {chance[1]:.0%} audible, somewhere within 10 frames of 0.",
        "Errors: the offset is more than a frame from the reference:",
        sync_card.error_table(found.judged, found.truth),
        "By condition (held-out sources):",
        condition_table(found),
        "Drift (held-out sources, clips of 4 s and more that are probably right):",
        drift_table(found),
        "Both landmark backends (held-out sources, clips of 4 s and more):",
        sync_card.backend_table(found.other_backend, found.judged, found.truth, found.calibration),
        "Calibration (held-out sources, pieces of 2 to 8 s and whole clips):",
        sync_card.reliability_table(found.examples, found.probabilities),
        f"Lowest threshold with precision {PRECISION_TARGET} at {TARGET_SECONDS} s and more: "
        f"**{default_threshold(found.calibration.points)}**.",
        sync_card.length_table(found.examples, found.probabilities),
        *[
            sync_card.threshold_table(found.calibration.points, seconds)
            for seconds in SEGMENT_SECONDS
        ],
        "The shipped networks on clips that nothing was trained on:",
        sync_card.answers_table(_never_trained_on(found, networks, everything)),
    ]
    return "\n\n".join(blocks)


def everything_trained(found: Findings) -> list[SpeechClip]:
    """Return the clips of all folds."""
    return [one.clip for one in found.judged]


def condition_table(found: Findings) -> str:
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
    return sync_card.table(("condition", "clips", "right within 1", "median probability"), rows)


def drift_table(found: Findings) -> str:
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
    return sync_card.table(head, rows)


def _never_trained_on(
    found: Findings, networks: Sequence[LandmarkSyncNet], everything: Sequence[SpeechClip]
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
