"""Trains AVSyncNet from shards: one profile of params.yaml, resumable.

folder = run_folder(profile, shards)
task, outcome = train(profile, shards, world, RunOptions(), folder)
save_safetensors(out, task.syncnet, facts)
"""

from dataclasses import asdict
from pathlib import Path

from pipeline.errors import ParamsError
from pipeline.params.neighbours import AvSyncNetProfile
from trainers.data.clip_use import index_training
from trainers.data.crop_size import require_crops
from trainers.data.index import ShardIndex, index_shards
from trainers.data.shard_urls import SplitUrls
from trainers.errors import TrainingDataError
from trainers.loop.fit import FitResult, RunOptions, fit
from trainers.loop.run_identity import folder_of_run
from trainers.loop.seeding import seed_all
from trainers.processes.world import World
from trainers.systems.avsyncnet.configs import CONFIGS, AvSyncNetConfig
from trainers.systems.avsyncnet.items import MIN_FRAMES, training_source, validation_of
from trainers.systems.avsyncnet.network import AvSyncNet
from trainers.systems.avsyncnet.task import AvSyncNetTask

STAGE = "avsyncnet"
VERSION = 1
"""Incremented when the same profile and sizes of the network give other weights."""


def train(
    profile: AvSyncNetProfile,
    shards: SplitUrls,
    world: World,
    options: RunOptions,
    folder: Path,
    workers: int = 0,
) -> tuple[AvSyncNetTask, FitResult]:
    """Train until the profile's steps are done; resumes where an earlier run stopped.

    Args:
        folder: of this run alone (`run_folder`), seen by all ranks.
        workers: threads per process that decode ahead; changes no weight.

    Raises:
        TrainingDataError: no clip that holds a negative, or crops smaller than the profile's.
        ParamsError: an unknown name of a network.
        NonFiniteLossError, TrainingStopped: as the loop.
    """
    learn, measure = _splits(profile, shards)
    size = network_config(profile).resolution
    for index, split in ((learn, "train"), (measure, "val")):
        if not len(index):
            raise TrainingDataError(f"data/shards/{split}: no clip of {MIN_FRAMES} frames or more")
        require_crops(index, size, f"{STAGE}: network {profile.network} of {size} px")
    task = new_task(profile)
    source = training_source(profile, size, learn, workers)
    validation = validation_of(profile, size, measure, world)
    return task, fit(task, source, profile.fit, folder, validation, world, options)


def run_folder(profile: AvSyncNetProfile, shards: SplitUrls) -> Path:
    """Return where the run of this profile and these clips keeps its checkpoints and logs."""
    learn, measure = _splits(profile, shards)
    facts = {
        "version": VERSION,
        "network": asdict(network_config(profile)),
        "train": learn.fingerprint(),
        "validation": measure.fingerprint(),
    }
    return folder_of_run(STAGE, profile, facts)


def new_task(profile: AvSyncNetProfile) -> AvSyncNetTask:
    """Return the task with the run's first weights, drawn from its seed."""
    seed_all(profile.fit.seed, "weights")
    return AvSyncNetTask(profile, AvSyncNet(network_config(profile)))


def network_config(profile: AvSyncNetProfile) -> AvSyncNetConfig:
    """Return the network's sizes.

    Raises:
        ParamsError: the name is unknown.
    """
    if profile.network not in CONFIGS:
        known = ", ".join(CONFIGS)
        raise ParamsError(f"{STAGE}.network: {profile.network!r}; known: {known}")
    return CONFIGS[profile.network]


def _splits(profile: AvSyncNetProfile, shards: SplitUrls) -> tuple[ShardIndex, ShardIndex]:
    learn = index_training(shards.train, MIN_FRAMES, profile.data)
    return learn, index_shards(shards.validation, MIN_FRAMES)
