"""Trains G_S or G_L from shards: one profile of params.yaml, resumable.

    folder = run_folder("stabilized", profile, shards)
    task, outcome = train("stabilized", profile, shards, world, RunOptions(), folder)
    save_bundle(out, task.generator, tower, silent_lip, bundle_facts(task, outcome))

Which of the two it is, the profile says: G_S has neither sync loss nor triplet nor silent lips.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.errors import ParamsError, WeightsError
from pipeline.params.neighbours import TalkerProfile
from trainers.data.clip_use import index_training
from trainers.data.crop_size import require_crops
from trainers.data.index import ShardIndex, index_shards
from trainers.data.shard_urls import SplitUrls
from trainers.errors import TrainingDataError
from trainers.frozen import registry as frozen
from trainers.frozen.registry import FrozenNetwork
from trainers.loop.fit import FitResult, RunOptions, fit
from trainers.loop.run_identity import folder_of_run
from trainers.loop.seeding import seed_all
from trainers.loop.validation import Validation
from trainers.processes.world import World
from trainers.systems.avsyncnet.files import load_safetensors as load_avsyncnet
from trainers.systems.stabilized.configs import CONFIGS, TalkerConfig
from trainers.systems.stabilized.files import load_safetensors, read_metadata
from trainers.systems.stabilized.items import MIN_FRAMES, PaintedSample, batches, sample_clips
from trainers.systems.stabilized.network import Discriminator, TalkerGenerator
from trainers.systems.stabilized.task import FrozenParts, TalkerTask

VERSION = 1
"""Incremented when the same profile and sizes of the network give other weights."""
HEARD_WITH = "avsyncnet_sha256"
"""Key of a generator's file: digest of the AVSyncNet that it was trained with."""

logger = logging.getLogger(__name__)


def train(
    stage: str,
    profile: TalkerProfile,
    shards: SplitUrls,
    world: World,
    options: RunOptions,
    folder: Path,
    workers: int = 0,
) -> tuple[TalkerTask, FitResult]:
    """Train until the profile's steps are done; resumes where an earlier run stopped.

    Args:
        stage: `silent_lip` or `stabilized`, for messages.
        folder: of this run alone (`run_folder`), seen by all ranks.
        workers: threads per process that decode ahead; changes no weight.

    Raises:
        TrainingDataError: no clip that is long enough, or crops smaller than the profile's.
        ParamsError, WeightsError: an unknown name, or a file that is absent or does not fit.
        NonFiniteLossError, TrainingStopped: as the loop.
    """
    learn, measure = _splits(profile, shards)
    size = talker_config(profile, stage).resolution
    for index, split in ((learn, "train"), (measure, "val")):
        if not len(index):
            raise TrainingDataError(f"data/shards/{split}: no clip of {MIN_FRAMES} frames or more")
        require_crops(index, size, f"{stage}: network {profile.network} of {size} px")
    task = new_task(
        stage, profile, frozen_parts(profile, stage), sample_clips(profile, size, measure)
    )
    source = batches(profile, size, learn, augment=True, workers=workers)
    validation = Validation(batches(profile, size, measure, False), profile.validation_batches)
    return task, fit(task, source, profile.fit, folder, validation, world, options)


def run_folder(stage: str, profile: TalkerProfile, shards: SplitUrls) -> Path:
    """Return where the run of this profile on these clips keeps its checkpoints.

    Raises:
        ParamsError, WeightsError: as `train`.
    """
    learn, measure = _splits(profile, shards)
    facts: dict[str, Any] = {
        "version": VERSION,
        "network": asdict(talker_config(profile, stage)),
        "train": learn.fingerprint(),
        "validation": measure.fingerprint(),
        "files": digests(frozen_parts(profile, stage)),
    }
    return folder_of_run(stage, profile, facts)


def frozen_parts(profile: TalkerProfile, stage: str = "stabilized") -> FrozenParts:
    """Load what the training reads and does not change.

    Raises:
        ParamsError: no such VGG.
        WeightsError: a file is absent, or G_S or the generator does not fit this AVSyncNet.
    """
    frozen.require_known("vgg19", profile.vgg, f"params.yaml: {stage}.profiles, vgg")
    avsyncnet = frozen.trained(Path(profile.avsyncnet), load_avsyncnet, "avsyncnet")
    heard, wanted = avsyncnet.network.config.embedding, talker_config(profile, stage).sound
    if heard != wanted:
        raise WeightsError(
            f"{profile.avsyncnet}: its embeddings have {heard} numbers, {stage}'s network "
            f"{profile.network!r} hears {wanted}; train avsyncnet with the profile of that size"
        )
    needed = profile.silent_lips or profile.start == "silent_lip"
    silent_lip = _silent_lip(profile, stage, avsyncnet.sha256) if needed else None
    return FrozenParts(avsyncnet, frozen.vgg19(profile.vgg), silent_lip)


def new_task(
    stage: str, profile: TalkerProfile, parts: FrozenParts, clips: Sequence[PaintedSample] = ()
) -> TalkerTask:
    """Return the task with the run's first weights, drawn from its seed."""
    if parts.vgg.is_stand_in:
        logger.warning("a stand-in, of no use for real pictures: %s", parts.vgg.name)
    config = talker_config(profile, stage)
    seed_all(profile.fit.seed, "weights")
    generator = TalkerGenerator(config)
    if profile.start == "silent_lip":
        assert parts.silent_lip is not None, "frozen_parts reads it"
        generator.load_state_dict(parts.silent_lip.network.state_dict())
    return TalkerTask(profile, generator, Discriminator(config), parts, clips)


def talker_config(profile: TalkerProfile, stage: str) -> TalkerConfig:
    """Return the sizes of generator and discriminator.

    Raises:
        ParamsError: the name is unknown.
    """
    if profile.network not in CONFIGS:
        known = ", ".join(CONFIGS)
        raise ParamsError(f"{stage}.network: {profile.network!r}; known: {known}")
    return CONFIGS[profile.network]


def digests(parts: FrozenParts) -> dict[str, dict[str, str]]:
    """Return the digests of the frozen parts' files, by role and name."""
    found = {"avsyncnet": dict(parts.avsyncnet.sha256), "vgg": dict(parts.vgg.sha256)}
    if parts.silent_lip:
        found["silent_lip"] = dict(parts.silent_lip.sha256)
    return found


def bundle_facts(task: TalkerTask, outcome: FitResult) -> dict[str, Any]:
    """Return what `model.json` says: parts by name and digest, steps, metrics, profile."""
    profile, parts = task.profile, task.parts
    return {
        "resolution_px": task.generator.config.resolution,
        "silent_lips": profile.silent_lips,
        "vgg": parts.vgg.name,
        "stand_ins": [parts.vgg.name] if parts.vgg.is_stand_in else [],
        "trained_with": digests(parts),
        "steps": outcome.step,
        "finished": outcome.finished,
        "metrics": outcome.metrics,
        "profile": profile.model_dump(),
    }


def _silent_lip(
    profile: TalkerProfile, stage: str, heard_with: Mapping[str, str]
) -> FrozenNetwork[TalkerGenerator]:
    """Load G_S, which must hear with the same AVSyncNet and be of the same size."""
    path = Path(profile.silent_lip)
    part = frozen.trained(path, load_safetensors, "silent_lip")
    if read_metadata(path).get(HEARD_WITH) != dict(heard_with):
        raise WeightsError(
            f"{path}: G_S was trained with another AVSyncNet than {profile.avsyncnet}; "
            "`dvc repro silent_lip` trains it anew"
        )
    if part.network.config != talker_config(profile, stage):
        raise WeightsError(
            f"{path}: G_S has other sizes than {stage}'s network {profile.network!r}; "
            "train silent_lip with the same"
        )
    return part


def _splits(profile: TalkerProfile, shards: SplitUrls) -> tuple[ShardIndex, ShardIndex]:
    learn = index_training(shards.train, MIN_FRAMES, profile.data)
    return learn, index_shards(shards.validation, MIN_FRAMES)
