"""One worker as the driver sees it: on its way, at work, out of reach or worn."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pipeline.engine.outcome import Work
from pipeline.engine.ray_worker import Answer, WorkerPlace

ITEMS_PER_WORKER = 500
"""A worker is replaced after so many items: decoders leak ..."""
WORK_PER_WORKER_S = 60.0
"""... if they took at least so long: items of milliseconds would wait for new workers most of the
time ..."""
LEAK_BYTES = 256 * 2**20
"""... or if the worker's peak memory has grown by so much since its first call."""
SETUP_DEADLINE_S = 600.0
"""A worker that has a place and is not ready by then hangs."""
UNREACHABLE_S = 120.0
"""A worker that could not be reached for so long counts as lost with its node."""


class State(Enum):
    """What a worker does; `pending` is what it was asked."""

    WAITING = "for a node with room, or for its process to start"
    PREPARING = "loads weights"
    READY = "has no items, since those left have to be tried on other nodes"
    WORKING = "on the items of one call"
    SOUGHT = "could not be reached and is asked where it is"


@dataclass(eq=False)
class Slot:
    """One worker and the items of its call."""

    actor: Any
    pending: Any
    state: State = State.WAITING
    place: WorkerPlace = field(default_factory=lambda: WorkerPlace("", 0))
    work: Sequence[Work] = ()
    started_s: float = field(default_factory=time.monotonic)
    lost_s: float | None = None
    """When it could first not be reached."""
    times_sought: int = 0
    done: int = 0
    busy_s: float = 0.0
    first_peak: int = 0
    last_peak: int = 0

    def ask(self, state: State, pending: Any) -> None:
        """Note what the worker does from now on."""
        self.state, self.pending, self.started_s = state, pending, time.monotonic()

    def add(self, answer: Answer) -> None:
        """Count one call."""
        self.done += len(answer.outcomes)
        self.busy_s += answer.busy_s
        self.first_peak, self.last_peak = self.first_peak or answer.peak_bytes, answer.peak_bytes

    def is_worn(self) -> bool:
        """Return whether the worker is to be replaced."""
        leaked = self.last_peak - self.first_peak > LEAK_BYTES
        return self.done >= ITEMS_PER_WORKER and (leaked or self.busy_s >= WORK_PER_WORKER_S)

    def is_overdue(self) -> bool:
        """Return whether it hangs. Several items are expected to be quick and have as long as one
        of them; who is not done then gets its own time, alone. Waiting for a node is no hang.
        """
        if self.state in (State.WAITING, State.READY):
            return False
        limit_s = max((one.deadline_s for one in self.work), default=SETUP_DEADLINE_S)
        return time.monotonic() - self.started_s > limit_s

    def is_out_of_reach(self) -> bool:
        """Note that it could not be reached; return whether that has lasted too long."""
        self.lost_s = time.monotonic() if self.lost_s is None else self.lost_s
        return time.monotonic() - self.lost_s > UNREACHABLE_S
