"""Self-cleaning: find out how far each training clip is out of sync, and correct it.

Nobody has labelled the clips. The first labels come from a correlation of lip opening
and loudness (lip_audio_correlation.py), for the clips on which it is clear. A network trained on
those for a short time learns what most clips agree on long before it learns exceptions by
heart; what it says of all clips becomes their labels, in quarters of a frame, and the next one is
trained on them. The correlation keeps the zero in place: without it, every round may drift. The
clips under test take no part.
Source: the early-learning effect, Arpit et al. (2017); SyncNet's authors cleaned likewise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.judge.curve import JudgeResult
from pipeline.judge.landmark.calibration import Calibration
from pipeline.judge.landmark.features import STEPS_PER_FRAME
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.network import LandmarkSyncNet
from trainers.systems.landmark_judge.data import SpeechClip, in_sync
from trainers.systems.landmark_judge.fit import FitConfig, fit
from trainers.systems.landmark_judge.lip_audio_correlation import Evidence, evidence_by_file


@dataclass(frozen=True, slots=True)
class CleaningConfig:
    """Rounds of short training, and when to believe what they say."""

    rounds: int = 2
    steps: int = 300
    min_confidence: float = 0.06
    """A clip judged with less is not trained on in the next round."""
    max_offset_frames: float = 12.0


def clean(
    clips: Sequence[SpeechClip], config: CleaningConfig, fit_config: FitConfig, seed: int
) -> list[SpeechClip]:
    """Return the clips that are worth training on, each with its offset as label."""
    witness = evidence_by_file(clips)
    labelled = by_witness(clips, witness, config.max_offset_frames)
    for number in range(config.rounds):
        short = replace(fit_config, steps=config.steps)
        network = fit([in_sync(clip) for clip in labelled], short, seed + 1000 * (number + 1))
        results = [judge_clip([network], clip) for clip in clips]
        labelled = by_judge(clips, results, witness, config)
    return labelled


def judge_clip(
    networks: Sequence[LandmarkSyncNet], clip: SpeechClip, calibration: Calibration | None = None
) -> JudgeResult:
    """Judge a clip as it was recorded, whatever its label says."""
    judge = LandmarkJudge(networks, calibration)
    return judge.judge(*judge.embed_features(clip.shape, clip.mel))


def by_witness(
    clips: Sequence[SpeechClip], witness: Mapping[str, Evidence], limit: float
) -> list[SpeechClip]:
    """Keep and label the clips of files on which the witness is clear."""
    found = [(clip, witness[clip.name]) for clip in clips]
    return [
        replace(clip, offset_frames=_quarters(said.offset_frames))
        for clip, said in found
        if said.clear and abs(said.offset_frames) <= limit
    ]


def by_judge(
    clips: Sequence[SpeechClip],
    results: Sequence[JudgeResult],
    witness: Mapping[str, Evidence],
    config: CleaningConfig,
) -> list[SpeechClip]:
    """Keep and label the clips that the network is sure of; the witness says where zero is."""
    pairs = list(zip(clips, results, strict=True))
    sure = [(clip, r) for clip, r in pairs if r.confidence >= config.min_confidence]
    shared = shared_bias(sure, witness)
    moved = [(clip, result.offset_subframe - shared) for clip, result in sure]
    return [
        replace(clip, offset_frames=_quarters(offset))
        for clip, offset in moved
        if abs(offset) <= config.max_offset_frames
    ]


def shared_bias(
    judged: Sequence[tuple[SpeechClip, JudgeResult]], witness: Mapping[str, Evidence]
) -> float:
    """Return by how much the judge says more than the witness where both see the same, median."""
    gaps = [
        result.offset_subframe - witness[clip.name].offset_frames
        for clip, result in judged
        if witness[clip.name].clear
    ]
    near = [gap for gap in gaps if abs(gap) <= 2]
    return float(np.median(near)) if near else 0.0


def _quarters(offset: float) -> float:
    return round(STEPS_PER_FRAME * offset) / STEPS_PER_FRAME
