"""Checks before the diffusion model is trained (docs/preflight.md). A `stop` ends the run.

found = preflight(plan, world)
found.require()
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

from pipeline.digest import digest
from pipeline.params.training import LdmProfile
from trainers.data.crop_size import too_small
from trainers.data.index import ShardIndex
from trainers.data.window_items import Prepare
from trainers.frozen.stand_ins import STAND_IN
from trainers.preflight.answer import Preflight, answered, load_kept, store_kept
from trainers.preflight.overfit import OverfitResult
from trainers.preflight.split_statistics import SplitStatistics, find_overlap, read_split
from trainers.processes.world import World
from trainers.systems.latentsync.frozen_networks import absent_files, named_networks, stage_of
from trainers.systems.latentsync.items import item_of
from trainers.systems.latentsync.preflight.checks import LdmFindings, run_checks
from trainers.systems.latentsync.preflight.needed_space import (
    decoded_bytes,
    missing_bytes,
    network_size,
    run_bytes,
)
from trainers.systems.latentsync.preflight.overfit import overfit_windows
from trainers.systems.latentsync.training import LdmShards, index_splits, order_of

SYSTEM = "Diffusion model"
KEPT_FILE = "preflight-kept.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLdmRun:
    """The run to be checked."""

    profile: LdmProfile
    shards: LdmShards
    folder: Path
    """Of the run."""
    prepare: Prepare
    """Gives the audio features of a clip."""
    overfit_steps: int = 0
    """Most steps in which one batch is tried; 0: it is not."""
    name: str = ""
    """Of the profile."""


def preflight(plan: PlannedLdmRun, world: World) -> Preflight:
    """Examine what would be trained, on the first rank; print and return the answer on all.

    Every rank must call it; the others wait.

    Raises:
        TrainingDataError: the shards cannot be read; on all ranks.
        ParamsError: no such stage; on all ranks.
        StorageError: the run's folder cannot be written; on all ranks.
    """
    return answered(partial(examine, plan, world.device), world)


def examine(plan: PlannedLdmRun, device: torch.device) -> Preflight:
    """Read the metadata, look for files and space, overfit one batch if asked to, and check all.

    All random streams are left as they were. Same shards, profile, files and network: same answer.

    Raises: as `preflight`.
    """
    learn, measure = index_splits(plan.profile, plan.shards)
    train, train_clips = read_split(learn)
    validation, validation_clips = read_split(measure)
    absent = absent_files(plan.profile)
    able = not absent and len(learn) > 0
    overfitted = _overfit(plan, learn, train, device) if plan.overfit_steps and able else None
    order, stage = order_of(plan.profile), stage_of(plan.profile)
    hidden = absent and stage.sizes_follow_parts
    needed = None if hidden else run_bytes(network_size(plan.profile), plan.profile)
    frames = learn.num_frames.tolist()
    parts = named_networks(plan.profile)
    findings = LdmFindings(
        stage=plan.profile.stage,
        resolution_px=stage.resolution_px,
        window_frames=plan.profile.frames,
        min_frames=item_of(plan.profile, augmented=True).min_frames,
        batch=plan.profile.batch,
        in_flight_clips=order.slots,
        windows_per_clip=plan.profile.windows_per_clip,
        decoded_bytes=decoded_bytes(
            min(order.slots, len(learn)), median(frames) if frames else 0, stage.resolution_px
        ),
        train_windows=_windows(learn, plan.profile.frames),
        validation_windows=_windows(measure, plan.profile.frames),
        measured_windows=plan.profile.validation_batches * plan.profile.batch,
        train=train,
        validation=validation,
        overlap=find_overlap(train_clips, validation_clips).shortened(),
        enlarged=too_small(learn, stage.resolution_px) or too_small(measure, stage.resolution_px),
        parts=parts,
        stand_ins=sorted(name for name in parts.values() if name.startswith(STAND_IN)),
        absent=absent,
        run_bytes=needed,
        missing_bytes=missing_bytes(plan.folder, needed) if needed else 0,
        overfit_steps=plan.overfit_steps,
        overfit=overfitted,
    )
    profile_json = plan.profile.model_dump(mode="json")
    return Preflight(SYSTEM, plan.name, profile_json, findings, run_checks(findings))


def _windows(index: ShardIndex, frames: int) -> int:
    return int((index.num_frames.astype(int) - frames + 1).sum())


def _overfit(
    plan: PlannedLdmRun, learn: ShardIndex, train: SplitStatistics, device: torch.device
) -> OverfitResult:
    """Overfit the run's first batch, or take what an earlier start found."""
    facts = [plan.profile.model_dump(mode="json"), learn.fingerprint(), asdict(train)]
    key, kept = digest([*facts, plan.overfit_steps]), plan.folder / KEPT_FILE
    if known := load_kept(kept, key):
        return OverfitResult(**known["overfit"])
    found = overfit_windows(plan.profile, learn, plan.prepare, plan.overfit_steps, device)
    if not found.error:
        store_kept(kept, key, {"overfit": asdict(found)})
    return found
