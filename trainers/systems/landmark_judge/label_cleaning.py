"""Label cleaning: estimates the AV offset of each training clip and corrects for it.

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
from trainers.systems.landmark_judge.fit_network import FitConfig, fit_network
from trainers.systems.landmark_judge.lip_audio_correlation import (
    CorrelationPeak,
    correlation_by_file,
)
from trainers.systems.landmark_judge.network import LandmarkSyncNet, TorchNetworks
from trainers.systems.landmark_judge.speech_clips import SpeechClip, in_sync


@dataclass(frozen=True, slots=True)
class LabelCleaningConfig:
    """Rounds of short training, and when their offsets become labels."""

    rounds: int = 2
    steps: int = 300
    min_confidence: float = 0.06
    """A clip judged with less is not trained on in the next round."""
    max_offset_frames: float = 12.0


def clean_labels(
    clips: Sequence[SpeechClip], config: LabelCleaningConfig, fit_config: FitConfig, seed: int
) -> list[SpeechClip]:
    """Return the clips that are worth training on, each with its offset as label."""
    correlation = correlation_by_file(clips)
    labelled = labels_from_correlation(clips, correlation, config.max_offset_frames)
    for number in range(config.rounds):
        short = replace(fit_config, steps=config.steps)
        network = fit_network(
            [in_sync(clip) for clip in labelled], short, seed + 1000 * (number + 1)
        )
        results = [judge_clip([network], clip) for clip in clips]
        labelled = labels_from_judge(clips, results, correlation, config)
    return labelled


def judge_clip(
    networks: Sequence[LandmarkSyncNet], clip: SpeechClip, calibration: Calibration | None = None
) -> JudgeResult:
    """Judge a clip as it was recorded, whatever its label says."""
    judge = LandmarkJudge(TorchNetworks(networks), calibration)
    return judge.judge(*judge.embed_features(clip.shape, clip.mel))


def labels_from_correlation(
    clips: Sequence[SpeechClip], correlation: Mapping[str, CorrelationPeak], limit: float
) -> list[SpeechClip]:
    """Keep and label the clips of files whose correlation peak is clear."""
    found = [(clip, correlation[clip.name]) for clip in clips]
    return [
        replace(clip, offset_frames=_quarters(peak.offset_frames))
        for clip, peak in found
        if peak.clear and abs(peak.offset_frames) <= limit
    ]


def labels_from_judge(
    clips: Sequence[SpeechClip],
    results: Sequence[JudgeResult],
    correlation: Mapping[str, CorrelationPeak],
    config: LabelCleaningConfig,
) -> list[SpeechClip]:
    """Keep and label the clips with a confident offset; the correlation defines zero."""
    pairs = list(zip(clips, results, strict=True))
    sure = [(clip, r) for clip, r in pairs if r.confidence >= config.min_confidence]
    shared = common_offset(sure, correlation)
    moved = [(clip, result.offset_subframe - shared) for clip, result in sure]
    return [
        replace(clip, offset_frames=_quarters(offset))
        for clip, offset in moved
        if abs(offset) <= config.max_offset_frames
    ]


def common_offset(
    judged: Sequence[tuple[SpeechClip, JudgeResult]], correlation: Mapping[str, CorrelationPeak]
) -> float:
    """Return the median difference of judge and correlation, where they nearly agree."""
    gaps = [
        result.offset_subframe - correlation[clip.name].offset_frames
        for clip, result in judged
        if correlation[clip.name].clear
    ]
    near = [gap for gap in gaps if abs(gap) <= 2]
    return float(np.median(near)) if near else 0.0


def _quarters(offset: float) -> float:
    return round(STEPS_PER_FRAME * offset) / STEPS_PER_FRAME
