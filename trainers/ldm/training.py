"""Trains the lip-sync diffusion model from shards: one profile of params.yaml, resumable.

    folder = run_folder(profile, shards)
    task, outcome = train(profile, shards, world, RunOptions(), folder)
    save_bundle(out, task.unet, bundle_facts(task, outcome))

docs/latent_diffusion.md says what a profile decides and what it costs.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.train_params import LdmProfile
from trainers.audio.whisper_files import whisper_identity
from trainers.audio.whisper_prepare import PrepareWhisper
from trainers.checkpoints import training_folder
from trainers.data.index import ShardIndex, index_shards
from trainers.data.order import OrderConfig
from trainers.data.windows import Prepare
from trainers.distributed import World
from trainers.ldm.data import SpeakingItem, batches, item_of, shown_windows
from trainers.ldm.parts import file_facts, load_parts, new_unet, stage_of
from trainers.ldm.task import LatentDiffusion
from trainers.loop import Outcome, RunOptions, fit
from trainers.seeding import seed_all
from trainers.validation import Validation

STAGE = "train_ldm"
VERSION = 1
"""Goes up when the same profile gives other weights."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LdmShards:
    """URLs of the tars to learn from, and of those to measure on."""

    train: Sequence[str]
    validation: Sequence[str]


def run_folder(profile: LdmProfile, shards: LdmShards) -> Path:
    """Return where the run of this profile on these clips keeps its checkpoints.

    Raises:
        TrainingDataError, ShardReadError: the shards cannot be read.
        WeightsError: the weights of the start or of SyncNet are absent.
    """
    item = item_of(profile, augmented=True)
    indices = {name: _index(urls, item) for name, urls in _named(shards)}
    facts = {
        "version": VERSION,
        "profile": profile.model_dump(),
        "data": {name: index.fingerprint() for name, index in indices.items()},
        "files": file_facts(profile),
    }
    return training_folder(STAGE, facts)


def train(
    profile: LdmProfile,
    shards: LdmShards,
    world: World,
    options: RunOptions,
    folder: Path,
    prepare: Prepare | None = None,
    workers: int = 0,
) -> tuple[LatentDiffusion, Outcome]:
    """Train until the profile's steps are done; resumes where an earlier run stopped.

    Args:
        folder: of this run alone (`run_folder`), seen by all ranks.
        prepare: gives Whisper's features (T, L, D) of a clip; None makes them while reading.
        workers: threads per process that decode ahead.

    Raises:
        TrainingDataError: no shard, or none with clips that are long enough.
        ParamsError, WeightsError: an unknown name, or a file that is absent or altered.
        NonFiniteLossError, TrainingStopped: as the loop.
    """
    stage, item = stage_of(profile), item_of(profile, augmented=True)
    plain = item_of(profile, augmented=False)
    learn, measure = (_index(urls, item) for _, urls in _named(shards))
    prepare = prepare or PrepareWhisper(profile.whisper)
    size = stage.resolution_px
    shown = shown_windows(measure, plain, size, prepare, profile.sample_clips)
    parts = load_parts(profile)
    seed_all(profile.fit.seed, "weights")
    task = LatentDiffusion(profile, new_unet(profile), parts, shown)
    source = batches(learn, item, order_of(profile), size, prepare, workers)
    held_out = batches(measure, plain, order_of(profile), size, prepare)
    validation = Validation(held_out, profile.validation_batches)
    return task, fit(task, source, profile.fit, folder, validation, world, options)


def order_of(profile: LdmProfile) -> OrderConfig:
    """Return the order of a profile's windows."""
    return OrderConfig(
        seed=profile.fit.seed,
        batch=profile.batch,
        in_flight_clips=profile.in_flight_clips,
        windows_per_clip=profile.windows_per_clip,
    )


def bundle_facts(task: LatentDiffusion, outcome: Outcome) -> dict[str, Any]:
    """Return what `model.json` says: all parts by name and digest, stand-ins, steps, profile."""
    profile, parts = task.profile, task.parts.by_role()
    names = {role: part.name for role, part in parts.items()} | {"whisper": profile.whisper}
    return {
        **names,
        "stand_ins": sorted(name for name in names.values() if name.startswith("stand-in:")),
        "sha256": {role: dict(part.sha256) for role, part in parts.items()}
        | {"whisper": dict(whisper_identity(profile.whisper).sha256)},
        "resolution_px": stage_of(profile).resolution_px,
        "frames": profile.frames,
        "steps": outcome.step,
        "finished": outcome.finished,
        "metrics": outcome.metrics,
        "profile": profile.model_dump(),
    }


def _index(urls: Sequence[str], item: SpeakingItem) -> ShardIndex:
    index = index_shards(urls, item.min_frames)
    for key in index.too_short:
        logger.info("left out: %s: under %d frames", key, item.min_frames)
    return index


def _named(shards: LdmShards) -> tuple[tuple[str, Sequence[str]], ...]:
    return ("train", shards.train), ("validation", shards.validation)
