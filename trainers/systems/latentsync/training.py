"""Trains the lip-sync diffusion model from shards: one profile of params.yaml, resumable.

    folder = run_folder(profile, shards)
    task, outcome = train(profile, shards, world, RunOptions(), folder)
    save_bundle(out, task.unet, bundle_facts(task, outcome))

docs/latent_diffusion.md says what a profile decides and what it costs.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.params.training import LdmProfile
from pipeline.weights.files import weights_file_sha256
from trainers.data.clip_use import index_training
from trainers.data.crop_size import require_crops
from trainers.data.index import ShardIndex, index_shards
from trainers.data.order import OrderConfig
from trainers.data.shard_batches import ShardBatches
from trainers.data.shard_urls import SplitUrls
from trainers.data.window_items import Prepare
from trainers.frozen.audio_encoders import audio_identity
from trainers.frozen.encode_on_the_fly import EncodeOnTheFly
from trainers.frozen.stand_ins import STAND_IN
from trainers.loop.fit import FitResult, RunOptions, fit
from trainers.loop.run_identity import folder_of_run
from trainers.loop.seeding import seed_all
from trainers.loop.task import Batch
from trainers.loop.validation import Validation
from trainers.processes.world import World
from trainers.systems.latentsync.frozen_networks import (
    STABLE_DIFFUSION,
    FrozenNetworks,
    load_frozen_networks,
    new_unet,
    stage_of,
    start_path,
    weight_file_digests,
)
from trainers.systems.latentsync.items import SpeakingItem, batches, item_of, sample_windows
from trainers.systems.latentsync.latent_cache.reader import WithLatents
from trainers.systems.latentsync.task import LatentDiffusion

STAGE = "train_ldm"
VERSION = 1
"""Incremented when the same profile gives other weights."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LdmShards(SplitUrls):
    """Tars, and what of the stage `features` stands beside them."""

    sidecar: bool = False
    """Whether the audio features come from the stage `features`, which rounds to float16."""
    latents: bool = False
    """Whether the latents do."""


def run_folder(profile: LdmProfile, shards: LdmShards) -> Path:
    """Return where the run of this profile on these clips keeps its checkpoints.

    Raises:
        TrainingDataError, ShardReadError: the shards cannot be read.
        WeightsError: the weights of the start or of SyncNet are absent.
    """
    learn, measure = index_splits(profile, shards)
    facts: dict[str, Any] = {
        "version": VERSION,
        "stage": _network_facts(profile),
        "data": {"train": learn.fingerprint(), "validation": measure.fingerprint()},
        "files": weight_file_digests(profile),
    }
    if shards.sidecar:
        facts["tokens"] = "float16"
    if shards.latents:
        facts["latents"] = "float16"
    return folder_of_run(STAGE, profile, facts, start=_portable_start(profile))


def train(
    profile: LdmProfile,
    shards: LdmShards,
    world: World,
    options: RunOptions,
    folder: Path,
    prepare: Prepare | None = None,
    workers: int = 0,
    networks: FrozenNetworks | None = None,
) -> tuple[LatentDiffusion, FitResult]:
    """Train until the profile's steps are done; resumes where an earlier run stopped.

    Args:
        folder: of this run alone (`run_folder`), seen by all ranks.
        prepare: gives Whisper's features (T, L, D) of a clip, and the latents if it is
            `WithLatents`; None makes the features while reading.
        workers: threads per process that decode ahead.
        networks: frozen networks at hand; None loads what the profile names.

    Raises:
        TrainingDataError: no shard, none with clips that are long enough, or crops smaller than the
            stage's.
        ParamsError, WeightsError: an unknown name, or a file that is absent or altered.
        NonFiniteLossError, TrainingStopped: as the loop.
    """
    size, plain = stage_of(profile).resolution_px, item_of(profile, augmented=False)
    learn, measure = index_splits(profile, shards)
    for index in (learn, measure):
        require_crops(index, size, f"train_ldm.stage: {profile.stage}")
    prepare = prepare or EncodeOnTheFly(profile.whisper)
    sample_batches = sample_windows(measure, plain, size, prepare, profile.sample_clips)
    task = new_task(profile, sample_batches, networks)
    source = training_source(profile, learn, prepare, workers)
    held_out = batches(measure, plain, order_of(profile), size, prepare)
    validation = Validation(held_out, profile.validation_batches)
    return task, fit(task, source, profile.fit, folder, validation, world, options)


def index_splits(profile: LdmProfile, shards: LdmShards) -> tuple[ShardIndex, ShardIndex]:
    """Return the indices of the training and of the validation shards.

    Raises:
        ShardReadError: a shard cannot be read.
    """
    item = item_of(profile, augmented=True)
    learn = index_training(shards.train, item.min_frames, profile.data)
    return _said(learn, item), _said(index_shards(shards.validation, item.min_frames), item)


def new_task(
    profile: LdmProfile,
    sample_batches: Sequence[Batch] = (),
    networks: FrozenNetworks | None = None,
) -> LatentDiffusion:
    """Return the task with the run's first weights, drawn from its seed.

    Raises:
        ParamsError, WeightsError: an unknown name, or a file that is absent or altered.
    """
    networks = networks or load_frozen_networks(profile)
    if named := _stand_ins(_network_names(profile, networks)):
        logger.warning("stand-ins, of no use for real pictures: %s", ", ".join(named))
    seed_all(profile.fit.seed, "weights")
    unet = new_unet(profile, networks.vae.network.channels)
    return LatentDiffusion(profile, unet, networks, sample_batches)


def training_source(
    profile: LdmProfile, index: ShardIndex, prepare: Prepare, workers: int = 0
) -> ShardBatches:
    """Return the training batches; without pixels if the latents are stored and no loss looks."""
    size, item = stage_of(profile).resolution_px, item_of(profile, augmented=True)
    pictures = _looks_at_pixels(profile) or not isinstance(prepare, WithLatents)
    return batches(index, item, order_of(profile), size, prepare, workers, pictures)


def _looks_at_pixels(profile: LdmProfile) -> bool:
    return bool(profile.sync_weight or profile.lpips_weight or profile.trepa_weight)


def order_of(profile: LdmProfile) -> OrderConfig:
    """Return the order of a profile's windows."""
    return OrderConfig.of(profile)


def bundle_facts(task: LatentDiffusion, outcome: FitResult) -> dict[str, Any]:
    """Return what `model.json` says: all parts by name and digest, stand-ins, steps, profile."""
    profile, networks = task.profile, task.networks.by_role()
    names, start = _network_names(profile, task.networks), start_path(profile)
    return {
        **names,
        "stand_ins": _stand_ins(names),
        "start_sha256": weights_file_sha256(start) if start else "",
        "sha256": {role: dict(part.sha256) for role, part in networks.items()}
        | {"whisper": dict(audio_identity(profile.whisper).sha256)},
        "resolution_px": stage_of(profile).resolution_px,
        "frames": profile.frames,
        "prediction": profile.prediction,
        "steps": outcome.step,
        "finished": outcome.finished,
        "sampling": {
            "steps": profile.sample_steps,
            "guidance": profile.sample_guidance,
            "temperature": profile.sample_temperature,
            "reference": profile.sample_reference,
        },
        "metrics": outcome.metrics,
        "profile": _portable_profile(profile),
    }


def _network_names(profile: LdmProfile, networks: FrozenNetworks) -> dict[str, str]:
    loaded = {role: part.name for role, part in networks.by_role().items()}
    return loaded | {"whisper": profile.whisper}


def _stand_ins(names: Mapping[str, str]) -> list[str]:
    return sorted(name for name in names.values() if name.startswith(STAND_IN))


def _portable_profile(profile: LdmProfile) -> dict[str, Any]:
    return {**profile.model_dump(), "start": _portable_start(profile)}


def _portable_start(profile: LdmProfile) -> str:
    """Return the start without the folder that its file lies in: a digest names that file."""
    kind = STABLE_DIFFUSION if profile.start.startswith(STABLE_DIFFUSION) else ""
    return f"{kind}{Path(profile.start.removeprefix(kind)).name}"


def _network_facts(profile: LdmProfile) -> dict[str, Any]:
    """Return what stands behind the stage's name, but for the authors' figures."""
    stage = asdict(stage_of(profile))
    return {name: value for name, value in stage.items() if not name.startswith("published_")}


def _said(index: ShardIndex, item: SpeakingItem) -> ShardIndex:
    for key in index.too_short:
        logger.info("left out: %s: under %d frames", key, item.min_frames)
    return index
