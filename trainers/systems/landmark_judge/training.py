"""Trains the bundled sync judge. One command, one seed, the same weights on the same machine.

python -m trainers.systems.landmark_judge.training --clips data/faces/clips.parquet --jobs 2

Trains on every clip that may be trained on, then without each source in turn: what these say of
the source left out gives the calibration, which is stored with the weights, and the model card.
"""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from pipeline.engine.cache import open_cache
from pipeline.judge.landmark.calibration import Calibration
from pipeline.judge.landmark.weights import WEIGHTS_PATH, weights_sha256
from trainers.systems.landmark_judge.calibration_fit import (
    CalibrationExample,
    curve_points,
    examples,
    fit_calibration,
    held_out_probabilities,
)
from trainers.systems.landmark_judge.card_tables import write_card
from trainers.systems.landmark_judge.cross_validation import cross_validate
from trainers.systems.landmark_judge.evidence_fit import (
    evidence_examples,
    evidence_without,
    fit_evidence,
)
from trainers.systems.landmark_judge.files import save_networks
from trainers.systems.landmark_judge.fit_network import FitConfig, fit_network
from trainers.systems.landmark_judge.label_cleaning import LabelCleaningConfig, clean_labels
from trainers.systems.landmark_judge.lip_audio_correlation import correlation_by_file
from trainers.systems.landmark_judge.model_card import HeldOutResults, card_text
from trainers.systems.landmark_judge.network import LandmarkSyncNet
from trainers.systems.landmark_judge.reference_offsets import reference_offsets
from trainers.systems.landmark_judge.speech_clips import SpeechClip, in_sync
from trainers.systems.landmark_judge.training_clips import for_training, read_folder, read_table

CARD = Path(__file__).parents[3] / "docs" / "landmark_judge.md"
THREADS = 1
"""Fixed: sums in another order give other weights."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The whole recipe."""

    members: int = 3
    """Networks that vote, from consecutive seeds."""
    fit: FitConfig = field(default_factory=FitConfig)
    cleaning: LabelCleaningConfig = field(default_factory=LabelCleaningConfig)


def train(
    clips: Sequence[SpeechClip], config: TrainConfig, seed: int
) -> tuple[list[LandmarkSyncNet], list[SpeechClip]]:
    """Clean the labels, then fit every member. Returns networks and the clips as labelled."""
    torch.set_num_threads(THREADS)
    labelled = clean_labels(clips, config.cleaning, config.fit, seed)
    ready = [in_sync(clip) for clip in labelled]
    networks = [
        fit_network(ready, config.fit, seed + member, _reporter(member))
        for member in range(config.members)
    ]
    return networks, labelled


def train_networks(
    config: TrainConfig, seed: int, clips: Sequence[SpeechClip]
) -> list[LandmarkSyncNet]:
    """Do the same and return the networks alone: what a fold needs."""
    return train(clips, config, seed)[0]


def evaluate_held_out(
    usable: Sequence[SpeechClip],
    config: TrainConfig,
    seed: int,
    other_backend: Sequence[SpeechClip] = (),
    jobs: int = 1,
) -> HeldOutResults:
    """Train without each source in turn; measure, and calibrate on what comes out."""
    folds = cross_validate(usable, partial(train_networks, config, seed), other_backend, jobs)
    judged = [one for fold in folds for one in fold.judged]
    correlation = correlation_by_file(usable)
    truth = reference_offsets(judged, correlation)
    found = examples(judged, truth)
    probabilities = held_out_probabilities(found)
    calibration = calibrated(found, probabilities)
    seconds = evidence_examples(judged, calibration)
    return HeldOutResults(
        judged=judged,
        other_backend=[pair for fold in folds for pair in fold.other_backend],
        correlation=correlation,
        truth=truth,
        examples=found,
        probabilities=probabilities,
        calibration=calibration,
        evidence=fit_evidence(seconds),
        evidence_without=evidence_without(seconds, sorted({one.clip.fold for one in judged})),
    )


def calibrated(found: Sequence[CalibrationExample], probabilities: Any) -> Calibration:
    """Fit on all folds; the curve that goes with it is measured with calibrations held out."""
    fitted = fit_calibration(found).as_json()
    points = [asdict(point) for point in curve_points(found, probabilities)]
    return Calibration.from_json({**fitted, "points": points})


def read_clips(clips: Path, videos: Path | None = None) -> list[SpeechClip]:
    """Read a folder, or the `faces` table with the `ingest` table beside it."""
    if clips.is_dir():
        return read_folder(clips)
    table = videos or clips.parents[1] / "ingest" / "videos.parquet"
    return read_table(clips, table, open_cache())


def main(
    clips: Annotated[Path, typer.Option(help="faces table, or a folder of .npz and .flac")],
    out: Annotated[Path, typer.Option(help="weights to write")] = WEIGHTS_PATH,
    other_clips: Annotated[
        Path | None, typer.Option(help="the same videos through another landmark backend")
    ] = None,
    seed: int = 0,
    members: int = 3,
    jobs: Annotated[int, typer.Option(help="folds at a time; changes no weight")] = 1,
    card: Path = CARD,
) -> None:
    """Train the landmark judge, calibrate it on held-out sources, rewrite its card's tables."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    everything = read_clips(clips)
    usable, config = for_training(everything), TrainConfig(members=members)
    also = for_training(read_clips(other_clips)) if other_clips else []
    networks, labelled = train(usable, config, seed)
    findings = evaluate_held_out(usable, config, seed, also, jobs)
    save_networks(out, networks, _metadata(config, seed, labelled, findings))
    logger.info("%s: sha256 %s", out, weights_sha256(out))
    write_card(card, card_text(findings, networks, everything))


def _metadata(
    config: TrainConfig, seed: int, clips: Sequence[SpeechClip], findings: HeldOutResults
) -> Mapping[str, Any]:
    return {
        "recipe": asdict(config),
        "seed": seed,
        "torch": torch.__version__.split("+")[0],
        "clips": {clip.clip_id: [clip.name, clip.offset_frames] for clip in clips},
        "seconds": round(sum(clip.num_frames for clip in clips) / 25, 1),
        "calibration": findings.calibration.as_json(),
        "evidence": findings.evidence.as_json(),
    }


def _reporter(member: int) -> Callable[[int, float], None]:
    def report(step: int, loss: float) -> None:
        if step % 200 == 0:
            logger.info("member %d step %d loss %.3f", member, step, loss)

    return report


if __name__ == "__main__":
    typer.run(main)
