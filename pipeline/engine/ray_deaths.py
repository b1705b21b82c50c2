"""Why a worker's call came back without an answer, and what that means for its items.

* `worker_crashed`: the item's fault if it dies again with nothing else in work: then quarantined.
* `out_of_memory` with a worker over its share: the item's fault, too; then given up, not cached.
* `out_of_memory` else, `node_lost`: the machine's fault; tried again elsewhere, MACHINE_ATTEMPTS
  times.
* `deadline`: either's; tried once more, elsewhere.
"""

import re
from dataclasses import dataclass

from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    WorkerCrashedError,
)

MACHINE_ATTEMPTS = 5
"""An item whose worker was lost so often through the machine's fault is given up until the next
run."""
ATTEMPTS = {"node_lost": MACHINE_ATTEMPTS, "deadline": 2}
"""The same by reason, where it says nothing about who was to blame."""
DEATHS = (RayActorError, WorkerCrashedError, OutOfMemoryError, NodeDiedError)
UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_KILLED = re.compile(r"pid=(\d+), actual memory used=([\d.]+)\s*([KMGT]?)B")


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a worker."""

    reason: str
    detail: str
    by_machine: bool = False
    """True where the item is not to blame, and is tried again without counting against it."""


def is_unavailable(error: BaseException) -> bool:
    """Return whether a worker could not be reached, which may pass: it may still be at work."""
    return isinstance(error, ActorUnavailableError)


def death_of(error: RayError, pid: int, share_bytes: int, peak_bytes: int) -> Death:
    """Return what ended a worker.

    Args:
        error: what Ray raised for its call.
        pid: its process, 0 if it never ran.
        share_bytes: the memory that the stage declares for one worker.
        peak_bytes: the most that the worker has reported.
    """
    text = str(error)
    if isinstance(error, NodeDiedError) or "node has died" in text or "node was terminated" in text:
        return Death("node_lost", "its node was lost", by_machine=True)
    if isinstance(error, OutOfMemoryError) or "OutOfMemory" in text or "memory pressure" in text:
        return killed_for_memory(max(peak_bytes, used_bytes(text, pid)), share_bytes)
    if isinstance(error, DEATHS):
        return Death("worker_crashed", "its worker process died (segmentation fault or kill)")
    return Death("worker_crashed", text[:200])


def killed_for_memory(used: int, share_bytes: int) -> Death:
    """Return the death of a worker whose machine ran out of memory."""
    if used > share_bytes:
        detail = f"its worker had {used / 1e9:.1f} GB, its share is {share_bytes / 1e9:.1f} GB"
        return Death("out_of_memory", f"killed for memory: {detail}")
    return Death("out_of_memory", "its machine had not enough memory", by_machine=True)


def used_bytes(text: str, pid: int) -> int:
    """Return what Ray's memory monitor says a process had when it killed it; 0: not said."""
    for found, number, unit in _KILLED.findall(text):
        if int(found) == pid:
            return int(float(number) * UNITS[unit])
    return 0
