"""Trains the bundled sync judge. One command, one seed, the same weights on the same machine.

python -m trainers.landmark_judge --clips data/faces/clips.parquet
python -m trainers.landmark_judge --clips FOLDER_OF_NPZ_AND_FLAC --folds
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from pipeline.cache import open_cache
from pipeline.judge.landmark import WEIGHTS_PATH, save_networks, weights_sha256
from pipeline.judge.network import LandmarkSyncNet
from trainers.sync_card import fold_table, measured_part, write_card
from trainers.sync_cleaning import CleaningConfig, clean, judge_clip
from trainers.sync_data import SpeechClip, in_sync
from trainers.sync_fit import FitConfig, fit
from trainers.sync_folds import Judged, run_folds
from trainers.sync_sources import HELD_OUT, for_training, read_folder, read_table

CARD = Path(__file__).parents[1] / "docs" / "landmark_judge.md"
THREADS = 1
"""Fixed: sums in another order give other weights."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The whole recipe."""

    members: int = 3
    """Networks that vote, from consecutive seeds."""
    fit: FitConfig = field(default_factory=FitConfig)
    cleaning: CleaningConfig = field(default_factory=CleaningConfig)


def train(
    clips: Sequence[SpeechClip], config: TrainConfig, seed: int
) -> tuple[list[LandmarkSyncNet], list[SpeechClip]]:
    """Clean the labels, then fit every member. Returns networks and the clips as labelled."""
    torch.set_num_threads(THREADS)
    labelled = clean(clips, config.cleaning, config.fit, seed)
    moved = {c.clip_id: c.offset_frames for c in labelled if c.offset_frames}
    logger.info("%d of %d clips kept; corrected: %s", len(labelled), len(clips), moved)
    ready = [in_sync(clip) for clip in labelled]
    networks = [
        fit(ready, config.fit, seed + member, _reporter(member)) for member in range(config.members)
    ]
    return networks, labelled


def read_clips(clips: Path, videos: Path | None = None) -> list[SpeechClip]:
    """Read a folder, or the `faces` table with the `ingest` table beside it."""
    if clips.is_dir():
        return read_folder(clips)
    table = videos or clips.parents[1] / "ingest" / "videos.parquet"
    return read_table(clips, table, open_cache())


def main(
    clips: Annotated[Path, typer.Option(help="faces table, or a folder of .npz and .flac")],
    out: Annotated[Path, typer.Option(help="weights to write")] = WEIGHTS_PATH,
    videos: Annotated[Path | None, typer.Option(help="ingest table")] = None,
    seed: int = 0,
    members: int = 3,
    fold_members: Annotated[int, typer.Option(help="networks that vote in a fold")] = 2,
    folds: Annotated[bool, typer.Option(help="measure every fold, write the card")] = False,
    card: Path = CARD,
) -> None:
    """Train the landmark judge on every clip that may be trained on."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    everything = read_clips(clips, videos)
    usable, config = for_training(everything), TrainConfig(members=members)
    networks, labelled = train(usable, config, seed)
    save_networks(out, networks, _metadata(config, seed, labelled))
    logger.info("%s: sha256 %s", out, weights_sha256(out))
    held_out = {c.name: judge_clip(networks, c) for c in everything if c.name in HELD_OUT}
    for name, result in sorted(held_out.items()):
        logger.info("%s: %+d (%.3f)", name, result.offset_frames, result.confidence)
    if folds:
        in_fold = replace(config, members=fold_members)
        judged = run_folds(usable, lambda rest: train(rest, in_fold, seed)[0], _log_fold)
        write_card(card, measured_part(judged, held_out))


def _metadata(config: TrainConfig, seed: int, clips: Sequence[SpeechClip]) -> dict[str, Any]:
    return {
        "recipe": asdict(config),
        "seed": seed,
        "torch": torch.__version__.split("+")[0],
        "clips": {clip.clip_id: clip.offset_frames for clip in clips},
        "seconds": round(sum(clip.num_frames for clip in clips) / 25, 1),
    }


def _reporter(member: int) -> Callable[[int, float], None]:
    def report(step: int, loss: float) -> None:
        if step % 200 == 0:
            logger.info("member %d step %d loss %.3f", member, step, loss)

    return report


def _log_fold(name: str, judged: list[Judged]) -> None:
    logger.info("fold %s\n%s", name, fold_table(judged))


if __name__ == "__main__":
    typer.run(main)
