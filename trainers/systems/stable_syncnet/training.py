"""Trains StableSyncNet from shards: its data, its task and one run, resumable.

python -m trainers.systems.stable_syncnet.training \
    --shards data/shards/train --validation data/shards/val --out models/stable_syncnet.safetensors

The DVC stage is trainers/train_syncnet.py; it calls `train` as this command does.
"""

import logging
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import ParamsError
from pipeline.params.curation import load_params
from pipeline.params.training import SyncnetProfile
from trainers.audio.mel_windows import PrepareMel
from trainers.data.augment import Augmentation
from trainers.data.clip_use import index_training
from trainers.data.each_clip_once import each_clip_once
from trainers.data.index import ShardIndex, index_shards
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_batches import ShardBatches
from trainers.data.shard_urls import SplitUrls, shard_urls
from trainers.data.window_items import MakeItem
from trainers.loop.fit import FitResult, RunOptions, fit
from trainers.loop.run_identity import folder_of_run
from trainers.loop.seeding import seed_all
from trainers.loop.validation import Validation
from trainers.processes.world import World, joined
from trainers.systems.stable_syncnet.configs import CONFIGS, StableSyncNetConfig
from trainers.systems.stable_syncnet.files import save_safetensors
from trainers.systems.stable_syncnet.items import PairItem, WindowConfig, WindowsItem
from trainers.systems.stable_syncnet.task import Objective, SyncNetTask

logger = logging.getLogger(__name__)

STAGE = "train_syncnet"
VERSION = 1
"""Incremented when the same profile and sizes of the network give other weights."""


def train(
    profile: SyncnetProfile,
    shards: SplitUrls,
    world: World,
    options: RunOptions | None = None,
    folder: Path | None = None,
    workers: int = 0,
) -> tuple[SyncNetTask, FitResult]:
    """Train until the steps are done, resuming where an earlier run of the same facts stopped.

    Args:
        folder: of this run alone; None is `run_folder`.
        workers: threads per process that decode ahead; changes no weight.
    Returns:
        The task with the weights to hand on, and how the run ended.

    Raises:
        TrainingDataError: no shard, or none with clips long enough for a negative.
        ParamsError: the profile names no network that can be trained here.
        NonFiniteLossError, TrainingStopped: as the loop.
    """
    learn, measure = index_splits(profile, shards)
    source = training_source(profile, learn, workers)
    validation = validation_of(profile, measure, world)
    folder = folder or _folder(profile, learn, measure)
    task = new_task(profile)
    return task, fit(task, source, profile.fit, folder, validation, world, options)


def run_folder(profile: SyncnetProfile, shards: SplitUrls) -> Path:
    """Return where the run of this profile and these clips keeps its checkpoints and logs."""
    return _folder(profile, *index_splits(profile, shards))


def index_splits(profile: SyncnetProfile, shards: SplitUrls) -> tuple[ShardIndex, ShardIndex]:
    """Return the indices of the training and of the validation shards."""
    frames = window_config(profile).min_frames
    learn = index_training(shards.train, frames, profile.data)
    return learn, index_shards(shards.validation, frames)


def new_task(profile: SyncnetProfile) -> SyncNetTask:
    """Return the task with the run's first weights, drawn from its seed."""
    objective = Objective(
        clamp=profile.clamp,
        bce_weight=profile.bce_weight,
        contrast_weight=profile.contrast_weight,
        temperature=profile.temperature,
    )
    seed_all(profile.fit.seed, "weights")
    return SyncNetTask(network_config(profile), objective, profile.gradient_checkpointing)


def network_config(profile: SyncnetProfile) -> StableSyncNetConfig:
    """Return the network's sizes, with the profile's dropout.

    Raises:
        ParamsError: the name is unknown, or of a network that wants latents.
    """
    config = CONFIGS.get(profile.network)
    trainable = [name for name, one in CONFIGS.items() if not one.latent]
    if config is None or config.latent:
        fix = f"use one of {', '.join(trainable)}"
        raise ParamsError(f"{STAGE}: network: {profile.network!r} cannot be trained here; {fix}")
    if not profile.dropout:
        return config
    audio, visual = (
        replace(tower, dropout=profile.dropout) for tower in (config.audio, config.visual)
    )
    return replace(config, audio=audio, visual=visual)


def window_config(profile: SyncnetProfile) -> WindowConfig:
    """Return how training windows are extracted."""
    return WindowConfig(
        frames=network_config(profile).num_frames,
        mel=profile.mel,
        negatives=profile.negatives,
        augmentation=Augmentation(**profile.augmentation.model_dump()),
        shift=profile.shift,
        gain_db=profile.gain_db,
    )


def training_source(profile: SyncnetProfile, index: ShardIndex, workers: int = 0) -> ShardBatches:
    """Return the training batches."""
    cut = window_config(profile)
    item = WindowsItem(profile.windows, cut) if profile.item == "windows" else PairItem(cut)
    order = OrderConfig.of(profile)
    return ShardBatches(partial(_loader, profile, index, item, order, workers))


def validation_of(profile: SyncnetProfile, index: ShardIndex, world: World) -> Validation:
    """Return the held-out clips, each once, with the same windows every time."""
    cut = replace(window_config(profile), augmentation=Augmentation(), shift=0.0, gain_db=0.0)
    item = WindowsItem(profile.validation_windows, cut, spread_evenly=True)
    loader_of = partial(_one_by_one, profile, index, item)
    return each_clip_once(loader_of, index, profile.validation_clips, world)


def _one_by_one(
    profile: SyncnetProfile, index: ShardIndex, item: MakeItem, rank: int, size: int
) -> Loader:
    order = OrderConfig.one_by_one(profile.fit.seed, size)
    return _loader(profile, index, item, order, 0, rank, size)


def _loader(
    profile: SyncnetProfile,
    index: ShardIndex,
    item: MakeItem,
    order: OrderConfig,
    workers: int,
    rank: int,
    size: int,
) -> Loader:
    config = network_config(profile)
    how = LoaderConfig(
        order=order,
        window_frames=config.num_frames,
        size_px=config.resolution,
        rank=rank,
        world_size=size,
        workers=workers,
    )
    return Loader(index, item, how, PrepareMel(profile.mel))


def _folder(profile: SyncnetProfile, learn: ShardIndex, measure: ShardIndex) -> Path:
    facts = {
        "version": VERSION,
        "network": asdict(network_config(profile)),
        "train": learn.fingerprint(),
        "validation": measure.fingerprint(),
    }
    return folder_of_run(STAGE, profile, facts)


def main(
    shards: Annotated[list[str], typer.Option(help="folders, tars or URLs to train on")],
    validation: Annotated[list[str], typer.Option(help="folders, tars or URLs to measure on")],
    out: Annotated[Path, typer.Option(help="weights to write, .safetensors")],
    profile: Annotated[str, typer.Option(help="of params.yaml; empty: the one in use")] = "",
    steps: Annotated[int, typer.Option(help="0: as in the profile")] = 0,
    workers: Annotated[int, typer.Option(help="threads that decode ahead")] = 0,
) -> None:
    """Train StableSyncNet; the same command after an interruption goes on where it stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    chosen = _profile(profile, steps)
    data = SplitUrls(train=shard_urls(shards), validation=shard_urls(validation))
    with joined() as world:
        task, outcome = train(chosen, data, world, workers=workers)
        if world.first:
            facts = {"profile": chosen.model_dump(), "steps": outcome.step}
            save_safetensors(out, task.syncnet, facts)
            logger.info("%s: %s", out, asdict(outcome))


def _profile(name: str, steps: int) -> SyncnetProfile:
    section = load_params().train_syncnet
    if name and name not in section.profiles:
        known = ", ".join(sorted(section.profiles))
        raise ParamsError(f"train_syncnet.profiles: {name!r} is none of {known}")
    chosen = section.profiles[name] if name else section.chosen
    fit_params = chosen.fit.model_copy(update={"max_steps": steps}) if steps else chosen.fit
    return chosen.model_copy(update={"fit": fit_params})


if __name__ == "__main__":
    typer.run(main)
