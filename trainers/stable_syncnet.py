"""Trains StableSyncNet from shards: one command, one process, resumable.

python -m trainers.stable_syncnet --shards data/shards/train --validation data/shards/val \
    --out models/stable_syncnet.safetensors --size tiny --steps 2000

Shape suffixes: B pairs, F frames of a window, C colours, H and W pixels.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import typer
from torch import Tensor

from pipeline.fit_params import FitParams
from trainers.audio.mel import mel_window
from trainers.checkpoints import training_folder
from trainers.data.clip import DecodedClip
from trainers.data.index import ShardIndex, index_shards, shard_urls
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.distributed import World, joined
from trainers.loop import Outcome, fit
from trainers.networks.stable_syncnet import StableSyncNet
from trainers.networks.stable_syncnet_configs import CONFIGS, StableSyncNetConfig
from trainers.networks.stable_syncnet_files import save_safetensors
from trainers.seeding import seed_all
from trainers.shard_batches import ShardBatches
from trainers.sync_loss import cosine, cosine_bce, sync_accuracy
from trainers.sync_pairs import Negatives, draw_pair, window_input
from trainers.task import Batch, Task
from trainers.validation import Validation

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PairItem:
    """Makes one pair of a decoded clip: pictures of one moment, sound of the same or another.

    Items: `clip_id`, `shard`, `start_frame` (the sound's), `visual` (3 F, H / 2, W) in -1 ... 1,
    `mel` (1, 80, M), `in_sync` 1.0 or 0.0.
    """

    frames: int = 16
    negatives: Negatives = "non_overlapping"

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that it holds a negative."""
        return 2 * self.frames

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a pair; the loader's own start is not used, because not every one has a negative."""
        pair = draw_pair(rng, clip.num_frames, self.frames, self.negatives)
        first = pair.visual_start_frame
        window_FCHW = clip.frames[first : first + self.frames]
        mel = mel_window(clip.audio, pair.audio_start_frame, self.frames)
        return {
            "clip_id": clip.clip_id,
            "shard": clip.shard,
            "start_frame": pair.audio_start_frame,
            "visual": window_input(window_FCHW.transpose(0, 2, 3, 1)),
            "mel": torch.from_numpy(mel).float()[None],
            "in_sync": torch.tensor(float(pair.in_sync)),
        }


class SyncNetTask(Task):
    """StableSyncNet with binary cross-entropy on the cosine."""

    players: ClassVar[tuple[str, ...]] = ("syncnet",)

    def __init__(self, config: StableSyncNetConfig, clamp: bool = False) -> None:
        super().__init__()
        self.syncnet = StableSyncNet(config)
        self.clamp = clamp

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Return the mean loss of the pairs."""
        assert player == "syncnet", player
        return {"sync": cosine_bce(self._cosine(batch), batch["in_sync"], self.clamp).mean()}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Return loss, accuracy (cosine above 0.5, the published one) and the mean cosine."""
        cosine_B = self._cosine(batch)
        return {
            "loss": cosine_bce(cosine_B, batch["in_sync"], clamp=True).mean(),
            "accuracy": sync_accuracy(cosine_B, batch["in_sync"]),
            "cosine": cosine_B.mean(),
        }

    def _cosine(self, batch: Batch) -> Tensor:
        return cosine(*self.syncnet(batch["visual"], batch["mel"]))


def batches(index: ShardIndex, order: OrderConfig, size_px: int, workers: int) -> ShardBatches:
    """Return the pairs of an index as batches for the loop."""
    return ShardBatches(partial(_loader, index, order, size_px, workers))


def _loader(
    index: ShardIndex, order: OrderConfig, size_px: int, workers: int, rank: int, size: int
) -> Loader:
    config = LoaderConfig(order=order, size_px=size_px, rank=rank, world_size=size, workers=workers)
    return Loader(index, PairItem(), config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Shards to learn from, shards to measure on, and how pairs are drawn from them."""

    train: Sequence[str]
    validation: Sequence[str]
    batch: int = 16
    validation_batches: int = 16
    workers: int = 0


def train(size: str, data: Data, params: FitParams, world: World) -> tuple[SyncNetTask, Outcome]:
    """Train until the steps are done, resuming where an earlier run of the same facts stopped.

    Raises:
        TrainingDataError: no shard, or none with clips of 32 frames.
        NonFiniteLossError, TrainingStopped: as the loop.
    """
    config = CONFIGS[size]
    learn, measure = (
        index_shards(urls, PairItem().min_frames) for urls in (data.train, data.validation)
    )
    facts = {
        "size": size,
        "fit": params.model_dump(),
        "batch": data.batch,
        "train": learn.fingerprint(),
        "validation": measure.fingerprint(),
    }
    order = OrderConfig(seed=params.seed, batch=data.batch)
    held_out = OrderConfig(seed=params.seed, batch=data.batch, windows_per_clip=data.batch)
    validation = Validation(
        batches(measure, held_out, config.resolution, 0), data.validation_batches
    )
    seed_all(params.seed, "weights")
    task = SyncNetTask(config)
    source = batches(learn, order, config.resolution, data.workers)
    folder = training_folder("stable_syncnet", facts)
    return task, fit(task, source, params, folder, validation, world)


def main(
    shards: Annotated[list[str], typer.Option(help="folders, tars or URLs to train on")],
    validation: Annotated[list[str], typer.Option(help="folders, tars or URLs to measure on")],
    out: Annotated[Path, typer.Option(help="weights to write, .safetensors")],
    size: Annotated[str, typer.Option(help=f"one of {', '.join(CONFIGS)}")] = "tiny",
    steps: int = 2000,
    batch: int = 16,
    learning_rate: float = 1e-4,
    seed: int = 0,
    workers: int = 0,
) -> None:
    """Train StableSyncNet; the same command after an interruption goes on where it stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    every = max(1, steps // 20)
    params = FitParams(
        seed=seed,
        max_steps=steps,
        learning_rate=learning_rate,
        warmup_steps=min(100, steps),
        validate_every=every,
        save_every=every,
        log_every=every,
        best_metric="loss",
        final="best",
    )
    data = Data(
        train=shard_urls(shards), validation=shard_urls(validation), batch=batch, workers=workers
    )
    with joined() as world:
        task, outcome = train(size, data, params, world)
        if world.first:
            save_safetensors(out, task.syncnet, {"size": size, "steps": outcome.step})
            logger.info("%s: %s", out, asdict(outcome))


if __name__ == "__main__":
    typer.run(main)
