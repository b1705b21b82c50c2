"""Checks before StableSyncNet is trained: is there a reason for the loss to stay at 0.69?

Clips, offsets, labels, silence, sizes, and whether the network overfits one batch: each is
one check with a verdict, a finding and a fix (docs/preflight.md). A `stop` ends the run.

    found = preflight(plan, world, kept=folder / "preflight-kept.json")
    found.require()
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from pipeline.atomic import write_json
from pipeline.digest import digest
from pipeline.errors import LipforgeError
from pipeline.params.training import SyncnetProfile
from trainers.data.index import ShardIndex
from trainers.loop.batches import BatchSource
from trainers.processes.world import World
from trainers.systems.stable_syncnet.configs import PUBLISHED
from trainers.systems.stable_syncnet.preflight.checks import (
    Check,
    PreflightFindings,
    Verdict,
    run_checks,
    worst_verdict,
)
from trainers.systems.stable_syncnet.preflight.overfit import (
    WINDOWS,
    OverfitResult,
    overfit,
    random_state_preserved,
)
from trainers.systems.stable_syncnet.preflight.split_statistics import (
    Overlap,
    SplitStatistics,
    find_overlap,
    read_split,
)
from trainers.systems.stable_syncnet.preflight.terminal_table import print_preflight
from trainers.systems.stable_syncnet.preflight.window_counts import WindowCounts, count_windows
from trainers.systems.stable_syncnet.task import SyncNetTask
from trainers.systems.stable_syncnet.training import network_config

logger = logging.getLogger(__name__)
LISTED = 20
"""Names of what leaks, in the JSON."""


class PreflightError(LipforgeError):
    """A check before training says that the training cannot succeed."""


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


@dataclass(frozen=True, slots=True)
class Preflight:
    """Findings, and the verdicts of the checks."""

    name: str
    profile: dict[str, Any]
    findings: PreflightFindings
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The severest of the checks."""
        return worst_verdict(self.checks)

    def content(self) -> dict[str, Any]:
        """Return all of it for a JSON file."""
        return {
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self.checks],
            "name": self.name,
            "profile": self.profile,
            "findings": asdict(self.findings),
        }

    def require(self) -> None:
        """Raise if a check says stop.

        Raises:
            PreflightError: with every finding that says so, and what to do.
        """
        stops = [one for one in self.checks if one.verdict == "stop"]
        if stops:
            lines = [f"  {one.name}: {one.finding}. Fix: {one.fix}" for one in stops]
            header = "StableSyncNet would not learn from this (docs/preflight.md):"
            raise PreflightError("\n".join([header, *lines]))


def preflight(plan: PlannedRun, world: World, kept: Path | None = None) -> Preflight:
    """Examine what would be trained, on the first rank; print and return the answer on all.

    Every rank must call it; the others wait.

    Args:
        kept: file of the run's folder in which the slow parts are kept for a later start.

    Raises:
        TrainingDataError: the shards cannot be read, or too many samples are broken; on all ranks.
        StorageError: `kept` cannot be written; on all ranks.
    """
    answer = world.by_first(partial(examine, plan, world.device, kept))
    if world.first:
        print_preflight(answer.checks, answer.findings, answer.verdict, Console(stderr=True))
    return answer


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
    train, train_clips = read_split(plan.train, config.num_frames)
    validation, validation_clips = read_split(plan.validation, config.num_frames)
    shared = find_overlap(train_clips, validation_clips)
    key = _key(plan, train, validation)
    known = _load_kept(kept, key)
    drawn, overfitted = known or _slow_checks(plan, device)
    if kept is not None and not known:
        _store_kept(kept, key, drawn, overfitted)
    findings = PreflightFindings(
        network=profile.network,
        published=profile.network in PUBLISHED,
        window_frames=config.num_frames,
        resolution_px=config.resolution,
        item=profile.item,
        batch=profile.batch,
        windows=profile.batch * _windows_per_item(profile),
        learning_rate=profile.fit.learning_rate,
        negatives=profile.negatives,
        train=train,
        validation=validation,
        overlap=Overlap(*(names[:LISTED] for names in asdict(shared).values())),
        drawn=drawn,
        overfit=overfitted,
    )
    return Preflight(plan.name, profile.model_dump(mode="json"), findings, run_checks(findings))


def _windows_per_item(profile: SyncnetProfile) -> int:
    return profile.windows if profile.item == "windows" else 1


def _slow_checks(
    plan: PlannedRun, device: torch.device
) -> tuple[WindowCounts | None, OverfitResult | None]:
    """Draw windows and overfit some of them: the slow part."""
    if not len(plan.train):
        return None, None
    profile = plan.profile
    with random_state_preserved(device):
        drawn, batch = count_windows(
            plan.source, profile.batch, _windows_per_item(profile), WINDOWS
        )
        if batch is None:
            return drawn, None
        return drawn, overfit(plan.new_task, batch, profile.fit, device)


def _key(plan: PlannedRun, train: SplitStatistics, validation: SplitStatistics) -> str:
    facts = [
        plan.profile.model_dump(mode="json"),
        [plan.train.fingerprint(), plan.validation.fingerprint()],
        [asdict(train), asdict(validation)],
    ]
    return digest(facts)


def _load_kept(kept: Path | None, key: str) -> tuple[WindowCounts, OverfitResult] | None:
    if kept is None or not kept.is_file():
        return None
    content = json.loads(kept.read_text(encoding="utf-8"))
    if content["key"] != key:
        return None
    logger.info("pre-flight: windows and one batch as found before (%s)", kept)
    return WindowCounts(**content["drawn"]), OverfitResult(**content["overfit"])


def _store_kept(
    kept: Path, key: str, drawn: WindowCounts | None, overfitted: OverfitResult | None
) -> None:
    """Store the findings if nothing stops the run; otherwise the next start examines again."""
    if drawn is None or overfitted is None or overfitted.error:
        return
    write_json(kept, {"key": key, "drawn": asdict(drawn), "overfit": asdict(overfitted)})
