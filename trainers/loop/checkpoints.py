"""Checkpoints on disk, written atomically: the two latest and the best.

They lie outside of every output of DVC, which empties those before a run. All ranks must see the
folder. A file holds tensors, numbers and text only (`torch.load(weights_only=True)`).
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from pipeline.atomic import replacing
from pipeline.digest import digest
from pipeline.errors import CheckpointError
from pipeline.params.environment import environment
from pipeline.weights.torch_files import DAMAGED
from trainers.processes.world import World

KEPT = 2
FORMAT = 1

logger = logging.getLogger(__name__)


def training_folder(stage: str, facts: Mapping[str, Any]) -> Path:
    """Return where checkpoints and logs lie: one folder per stage and facts.

    $LIPFORGE_TRAINING or .cache/training, then the stage, then the facts' hash.

    Args:
        facts: all that decides the weights, as plain JSON: params, hash of the data, version.
    """
    root = environment().training or Path(".cache/training")
    return (root / stage / digest(dict(facts))[:16]).absolute()


class SaveClock:
    """Says when a checkpoint is due by time. Rank 0's clock counts, so that all ranks agree."""

    def __init__(self, minutes: float | None, world: World) -> None:
        self._seconds = None if minutes is None else 60 * minutes
        self._world = world
        self.saved()

    def due(self) -> bool:
        """Return whether the time is over; every rank must call it."""
        if self._seconds is None:
            return False
        late = time.monotonic() - self._since >= self._seconds
        return self._world.any(late and self._world.first)

    def saved(self) -> None:
        """Start the time anew."""
        self._since = time.monotonic()


def save_state(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Write `step-00000010.pt` and remove all but the two latest.

    Raises:
        StorageError: the disk is full or not writable; the checkpoints before are still there.
    """
    _write(folder / f"step-{step:08d}.pt", {"format": FORMAT, "step": step, **state})
    for old in _steps(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def has_state(folder: Path) -> bool:
    """Return whether there is a checkpoint, whole or not."""
    return bool(_steps(folder))


def latest_state(folder: Path, before: int | None = None) -> dict[str, Any] | None:
    """Return the latest checkpoint that is whole; None where there is no checkpoint at all.

    Args:
        before: look only at checkpoints of earlier steps than this one.

    Raises:
        CheckpointError: there are some, but none can be read.
    """
    paths = [path for path in _steps(folder) if before is None or _step_of(path) < before]
    for path in reversed(paths):
        try:
            return _read(path)
        except CheckpointError as error:
            logger.warning("%s; trying the one before", error)
    if paths:
        raise CheckpointError(f"{folder}: no checkpoint can be read; delete it to start anew")
    return None


def save_best(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `best.pt`: weights alone, without the optimizer's state.

    Raises:
        StorageError: the disk is full or not writable.
    """
    _write(folder / "best.pt", {"format": FORMAT, **content})


def best(folder: Path) -> dict[str, Any]:
    """Return what `save_best` wrote.

    Raises:
        CheckpointError: it is not there or cannot be read.
    """
    return _read(folder / "best.pt")


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as part, part.open("wb") as stream:
        torch.save(dict(content), stream)


def _read(path: Path) -> dict[str, Any]:
    try:
        damaged = _damaged_member(path)
        content = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    except DAMAGED as error:
        raise CheckpointError(f"{path}: cut off or damaged: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: damaged: {damaged or 'no checkpoint of a run'}")
    if content.get("format") != FORMAT:
        fix = f"delete {path.parent} to start anew"
        raise CheckpointError(f"{path}: format {content.get('format')}, not {FORMAT}; {fix}")
    return content


def _damaged_member(path: Path) -> str | None:
    """Return the first member whose checksum is not that of its bytes: torch.load compares none.

    Or that torch.save would not have written: one that is compressed, or marked as a folder.
    """
    with ZipFile(path) as archive:
        members = archive.infolist()
        odd = [one.filename for one in members if one.compress_type or one.external_attr]
        return odd[0] if odd else archive.testzip()
