"""Checks before StableSyncNet is trained: is there a reason for the loss to stay at 0.69?

Clips, offsets, labels, silence, sizes, and whether the network overfits one batch: each is
one check with a verdict, a finding and a fix (docs/preflight.md). A `stop` ends the run.

    found = preflight(plan, world, kept=folder / "preflight-kept.json")
    found.require()
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from pipeline.digest import digest
from pipeline.params.training import SyncnetProfile
from trainers.data.index import ShardIndex
from trainers.loop.batches import BatchSource
from trainers.preflight.answer import Preflight, answered, load_kept, store_kept
from trainers.preflight.overfit import OverfitResult, random_state_preserved
from trainers.preflight.split_statistics import SplitStatistics, find_overlap, read_split
from trainers.processes.world import World
from trainers.systems.stable_syncnet.configs import PUBLISHED
from trainers.systems.stable_syncnet.preflight.checks import PreflightFindings, run_checks
from trainers.systems.stable_syncnet.preflight.overfit import WINDOWS, overfit_pairs
from trainers.systems.stable_syncnet.preflight.window_counts import (
    WindowCounts,
    count_windows,
    overlapping_negatives,
)
from trainers.systems.stable_syncnet.task import SyncNetTask
from trainers.systems.stable_syncnet.training import network_config, window_config

SYSTEM = "StableSyncNet"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """The run to be checked."""

    train: ShardIndex
    validation: ShardIndex
    source: BatchSource
    """Batches as the loop will get them, from an object of its own: decoded clips stay in it. Items
    need `in_sync` and `mel`."""
    new_task: Callable[[], SyncNetTask]
    profile: SyncnetProfile
    name: str = ""
    """Of the profile."""


def preflight(plan: PlannedRun, world: World, kept: Path | None = None) -> Preflight:
    """Examine what would be trained, on the first rank; print and return the answer on all.

    Every rank must call it; the others wait.

    Args:
        kept: file of the run's folder in which the slow parts are kept for a later start.

    Raises:
        TrainingDataError: the shards cannot be read, or too many samples are broken; on all ranks.
        StorageError: `kept` cannot be written; on all ranks.
    """
    return answered(partial(examine, plan, world.device, kept), world)


def examine(plan: PlannedRun, device: torch.device, kept: Path | None = None) -> Preflight:
    """Read the metadata, draw windows, overfit one batch, and check all of it.

    All random streams are left as they were. Same shards, profile and network: same answer.

    Args:
        kept: where the slow parts (windows, one batch) are kept for a later start.

    Raises:
        TrainingDataError: the shards cannot be read, or too many samples are broken.
        StorageError: `kept` cannot be written.
    """
    config, profile = network_config(plan.profile), plan.profile
    train, train_clips = read_split(plan.train)
    validation, validation_clips = read_split(plan.validation)
    shared = find_overlap(train_clips, validation_clips)
    key = _key(plan, train, validation)
    drawn, overfitted = _slow_checks(plan, device, kept, key)
    findings = PreflightFindings(
        network=profile.network,
        published=profile.network in PUBLISHED,
        window_frames=config.num_frames,
        min_frames=window_config(profile).min_frames,
        resolution_px=config.resolution,
        item=profile.item,
        batch=profile.batch,
        windows=profile.batch * _windows_per_item(profile),
        learning_rate=profile.fit.learning_rate,
        negatives=profile.negatives,
        train=train,
        validation=validation,
        overlap=shared.shortened(),
        overlapping_negatives=overlapping_negatives(
            plan.train.num_frames.tolist(), config.num_frames
        ),
        drawn=drawn,
        overfit=overfitted,
    )
    profile_json = profile.model_dump(mode="json")
    return Preflight(SYSTEM, plan.name, profile_json, findings, run_checks(findings))


def _windows_per_item(profile: SyncnetProfile) -> int:
    return profile.windows if profile.item == "windows" else 1


def _slow_checks(
    plan: PlannedRun, device: torch.device, kept: Path | None, key: str
) -> tuple[WindowCounts | None, OverfitResult | None]:
    """Draw windows and overfit some of them, or take what an earlier start found.

    Stored if nothing stops the run; otherwise the next start examines again.
    """
    if known := load_kept(kept, key):
        return WindowCounts(**known["drawn"]), OverfitResult(**known["overfit"])
    drawn, overfitted = _drawn_and_learnt(plan, device)
    if drawn is not None and overfitted is not None and not overfitted.error:
        store_kept(kept, key, {"drawn": asdict(drawn), "overfit": asdict(overfitted)})
    return drawn, overfitted


def _drawn_and_learnt(
    plan: PlannedRun, device: torch.device
) -> tuple[WindowCounts | None, OverfitResult | None]:
    if not len(plan.train):
        return None, None
    profile = plan.profile
    with random_state_preserved(device):
        drawn, batch = count_windows(
            plan.source, profile.batch, _windows_per_item(profile), WINDOWS
        )
        if batch is None:
            return drawn, None
        return drawn, overfit_pairs(plan.new_task, batch, profile.fit, device)


def _key(plan: PlannedRun, train: SplitStatistics, validation: SplitStatistics) -> str:
    facts = [
        plan.profile.model_dump(mode="json"),
        [plan.train.fingerprint(), plan.validation.fingerprint()],
        [asdict(train), asdict(validation)],
    ]
    return digest(facts)
