"""Trains SyncDiff from shards: one profile of params.yaml, resumable.

    folder = run_folder(profile, shards)
    task, outcome = train(profile, shards, world, RunOptions(), folder)
    save_bundle(out, task.network, bundle_facts(task, outcome))

docs/syncdiff.md says what a profile decides and what it costs.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ParamsError
from pipeline.params.syncdiff import SyncDiffProfile
from trainers.data.clip_use import index_training
from trainers.data.crop_size import require_crops
from trainers.data.index import ShardIndex, index_shards
from trainers.data.shard_urls import SplitUrls
from trainers.data.window_items import Prepare
from trainers.errors import TrainingDataError
from trainers.frozen.audio_encoders import audio_identity
from trainers.frozen.encode_on_the_fly import EncodeOnTheFly
from trainers.frozen.stand_ins import STAND_IN
from trainers.frozen.vq_files import autoencoder_sha256, load_autoencoder
from trainers.loop.fit import FitResult, RunOptions, fit
from trainers.loop.run_identity import folder_of_run
from trainers.loop.seeding import seed_all
from trainers.loop.validation import Validation
from trainers.processes.world import World
from trainers.systems.syncdiff.configs import CONFIGS, NetworkSizes, SyncDiffConfig
from trainers.systems.syncdiff.hearing import new_hearing
from trainers.systems.syncdiff.items import WINDOW, SampleClip, batches, front_of, sample_clips
from trainers.systems.syncdiff.network import SyncDiffNetwork
from trainers.systems.syncdiff.task import SyncDiffTask

STAGE = "syncdiff"
VERSION = 1
"""Incremented when the same profile gives other weights."""
AUTOENCODER_KEY = f"params.yaml: {STAGE}.profiles, autoencoder"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncDiffShards(SplitUrls):
    """Tars, and what of the stage `features` stands beside them."""

    sidecar: bool = False
    """Whether the sound's features come from the stage `features`, which rounds to float16."""


def run_folder(profile: SyncDiffProfile, shards: SyncDiffShards) -> Path:
    """Return where the run of this profile on these clips keeps its checkpoints.

    Raises:
        TrainingDataError, ShardReadError: the shards cannot be read.
        ParamsError, WeightsError: an unknown name, or a file that is absent.
    """
    learn, measure = index_splits(profile, shards)
    front = front_of(profile)
    facts: dict[str, Any] = {
        "version": VERSION,
        "network": asdict(_sizes(profile)),
        "data": {"train": learn.fingerprint(), "validation": measure.fingerprint()},
        "files": {
            "autoencoder": autoencoder_sha256(profile.autoencoder, AUTOENCODER_KEY),
            "audio": dict(audio_identity(front).sha256),
        },
    }
    if shards.sidecar:
        facts["tokens"] = "float16"
    return folder_of_run(STAGE, profile, facts)


def train(
    profile: SyncDiffProfile,
    shards: SyncDiffShards,
    world: World,
    options: RunOptions,
    folder: Path,
    prepare: Prepare | None = None,
    workers: int = 0,
) -> tuple[SyncDiffTask, FitResult]:
    """Train until the profile's steps are done; resumes where an earlier run stopped.

    Args:
        folder: of this run alone (`run_folder`), seen by all ranks.
        prepare: gives the front end's features (T, L, D) of a clip; None makes them while reading.
        workers: threads per process that decode ahead.

    Raises:
        TrainingDataError: no shard, none with a clip, or crops smaller than the profile's.
        ParamsError, WeightsError: an unknown name, or a file that is absent or altered.
        NonFiniteLossError, TrainingStopped: as the loop.
    """
    learn, measure = index_splits(profile, shards)
    for index, split in ((learn, "train"), (measure, "val")):
        if not len(index):
            raise TrainingDataError(f"data/shards/{split}: no clip of {WINDOW} frames or more")
        require_crops(index, profile.resolution_px, f"{STAGE}.resolution_px")
    prepare = prepare or EncodeOnTheFly(front_of(profile))
    task = new_task(profile, sample_clips(profile, measure, prepare))
    source = batches(profile, learn, prepare, augment=True, workers=workers)
    held_out = batches(profile, measure, prepare, augment=False)
    validation = Validation(held_out, profile.validation_batches)
    return task, fit(task, source, profile.fit, folder, validation, world, options)


def index_splits(profile: SyncDiffProfile, shards: SyncDiffShards) -> tuple[ShardIndex, ShardIndex]:
    """Return the indices of the training and of the validation shards.

    Raises:
        ShardReadError: a shard cannot be read.
    """
    learn = index_training(shards.train, WINDOW, profile.data)
    return learn, index_shards(shards.validation, WINDOW)


def new_task(profile: SyncDiffProfile, clips: Sequence[SampleClip] = ()) -> SyncDiffTask:
    """Return the task with the run's first weights, drawn from its seed.

    Raises:
        ParamsError, WeightsError: an unknown name, or a file that is absent or altered.
    """
    autoencoder = load_autoencoder(profile.autoencoder, AUTOENCODER_KEY)
    if named := _stand_ins(_names(profile)):
        logger.warning("stand-ins, of no use for real pictures: %s", ", ".join(named))
    config = SyncDiffConfig(
        sizes=_sizes(profile),
        latent_channels=autoencoder.network.channels,
        pose=profile.pose,
        pose_norm=profile.pose_norm,
    )
    seed_all(profile.fit.seed, "weights")
    network = SyncDiffNetwork(config, new_hearing(front_of(profile)))
    if profile.gradient_checkpointing:
        network.unet.enable_gradient_checkpointing()
    return SyncDiffTask(profile, network, autoencoder, clips)


def bundle_facts(task: SyncDiffTask, outcome: FitResult) -> dict[str, Any]:
    """Return what `model.json` says: all parts by name and digest, stand-ins, steps, profile."""
    profile, names = task.profile, _names(task.profile)
    return {
        **names,
        "stand_ins": _stand_ins(names),
        "sha256": {
            "autoencoder": dict(task.autoencoder.sha256),
            "audio": dict(audio_identity(names["audio"]).sha256),
        },
        "resolution_px": profile.resolution_px,
        "prediction": profile.prediction,
        "steps": outcome.step,
        "finished": outcome.finished,
        "sampling": {"steps": profile.sample_steps},
        "metrics": outcome.metrics,
        "profile": profile.model_dump(),
    }


def _names(profile: SyncDiffProfile) -> dict[str, str]:
    return {"autoencoder": profile.autoencoder, "audio": front_of(profile)}


def _stand_ins(names: dict[str, str]) -> list[str]:
    return sorted(name for name in names.values() if name.startswith(STAND_IN))


def _sizes(profile: SyncDiffProfile) -> NetworkSizes:
    if profile.network not in CONFIGS:
        known = ", ".join(CONFIGS)
        raise ParamsError(f"{STAGE}.network: {profile.network!r}; known: {known}")
    return CONFIGS[profile.network]
