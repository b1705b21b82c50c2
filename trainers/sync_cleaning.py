"""Self-cleaning: find the training clips that are not in sync, correct or drop them.

Nobody has labelled the clips: all count as in sync at first, and some are not. A network trained
for a short time learns what most clips agree on long before it learns the exceptions by heart, so
what it says of its own training clips is good enough to correct them. A few rounds of short
training and relabelling settle. The clips under test take no part.
Source: the early-learning effect, Arpit et al. (2017); SyncNet's authors cleaned likewise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.judge.curve import JudgeResult, pair_distances, read_curve
from pipeline.judge.landmark import LandmarkJudge
from pipeline.judge.network import LandmarkSyncNet
from trainers.sync_data import SpeechClip, in_sync
from trainers.sync_fit import FitConfig, fit


@dataclass(frozen=True, slots=True)
class CleaningConfig:
    """Rounds of short training, and when to believe what they say."""

    rounds: int = 2
    steps: int = 300
    min_confidence: float = 0.06
    """A clip judged with less keeps its label."""
    drop_confidence: float = 0.03
    """A clip judged with less in the last round is not trained on."""
    max_offset_frames: int = 12


def clean(
    clips: Sequence[SpeechClip], config: CleaningConfig, fit_config: FitConfig, seed: int
) -> list[SpeechClip]:
    """Return the clips that are worth training on, each with its offset corrected."""
    labelled = list(clips)
    results: list[JudgeResult] = []
    for number in range(config.rounds):
        short = replace(fit_config, steps=config.steps)
        network = fit([in_sync(clip) for clip in labelled], short, seed + 1000 * (number + 1))
        results = [judge_clip([network], clip) for clip in labelled]
        labelled = _relabelled(labelled, results, config)
    if not results:
        return labelled
    pairs = zip(labelled, results, strict=True)
    return [clip for clip, result in pairs if result.confidence >= config.drop_confidence]


def judge_clip(networks: Sequence[LandmarkSyncNet], clip: SpeechClip) -> JudgeResult:
    """Judge a clip as it was recorded, whatever its label says."""
    embedded = LandmarkJudge(networks).embed_features(clip.shape, clip.mel)
    return read_curve(pair_distances(*embedded))


def _relabelled(
    clips: Sequence[SpeechClip], results: Sequence[JudgeResult], config: CleaningConfig
) -> list[SpeechClip]:
    offsets = [
        result.offset_frames if result.confidence >= config.min_confidence else clip.offset_frames
        for clip, result in zip(clips, results, strict=True)
    ]
    limit = config.max_offset_frames
    shared = round(float(np.median(offsets)))  # zero stays where most clips have it
    return [
        replace(clip, offset_frames=min(limit, max(-limit, offset - shared)))
        for clip, offset in zip(clips, offsets, strict=True)
    ]
