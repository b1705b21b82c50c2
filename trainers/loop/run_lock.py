"""One run per folder: a second process that would write the same checkpoints stops.

The lock is the system's (flock), so it is gone however its process ends; no file needs cleaning up.
"""

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.atomic import write_json
from pipeline.errors import CheckpointError
from trainers.processes.world import World

LOCK, OWNER = "lock", "running.json"
WAIT_S = 5.0
"""A rank that Ray has just killed may take a moment to be gone."""

logger = logging.getLogger(__name__)


@contextmanager
def run_folder_lock(folder: Path, world: World) -> Iterator[None]:
    """Hold a run's folder for all ranks; every rank must call it.

    Raises:
        CheckpointError: on all ranks, if another process holds it.
        StorageError: the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        told = _taken(lock, folder) if world.first else ""
        if refused := [one for one in world.gathered(told) if one]:
            raise CheckpointError(refused[0])
        yield
    finally:
        if lock.is_locked:
            (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def _taken(lock: FileLock, folder: Path) -> str:
    """Acquire the lock; return the reason if another process holds it, else an empty string."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=WAIT_S, poll_interval=0.1)
    except Timeout:
        return f"{folder}: {_owner(folder)} is training there; wait for it, or end it"
    except NotImplementedError as error:
        logger.warning("%s: cannot be locked (%s); start no second run in it", folder, error)
    write_json(folder / OWNER, {"pid": os.getpid(), "host": socket.gethostname()})
    return ""


def _owner(folder: Path) -> str:
    try:
        told = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "another process"
    return f"process {told['pid']} on {told['host']}"
