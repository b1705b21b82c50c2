"""Runs a stage on Ray: one actor per worker, one item at a time on each.

One item at a time makes blame exact: when an actor dies, the item it held is the one that killed
it. Ray Data is not used because it retries a segfaulting item for ever and drops whole blocks for
one bad row (see docs/architecture.md).
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from pipeline.engine import outcome as ending
from pipeline.engine.cache import Cache
from pipeline.engine.outcome import Outcome, Work
from pipeline.engine.ray_connection import connect
from pipeline.engine.runner import perform
from pipeline.engine.stage import Stage
from pipeline.errors import ClusterError, LipforgeError
from pipeline.params.environment import environment

MAX_CRASHES = 2
"""An item that killed its worker this often is quarantined."""
ITEMS_PER_WORKER = 500
"""A worker is replaced after so many items: decoders leak."""
MAX_LOST_NODES = 5
"""An item whose node was lost this often is taken for the cause."""
POLL_S = 1.0
SETUP_DEADLINE_S = 600.0
"""A worker that has not started by then never will: no free CPU in the cluster, or it hangs."""
_DEATHS = (RayActorError, WorkerCrashedError, OutOfMemoryError, NodeDiedError)


class Worker:
    """The actor: one stage, set up once."""

    def __init__(self, stage: Stage[Any, Any], cache: Cache) -> None:
        self.stage, self.cache = stage, cache

    def prepare(self) -> None:
        """Load weights; apart from __init__ so that its errors come back as they are."""
        self.stage.setup()

    def run(self, work: Work) -> Outcome:
        """Process one item."""
        return perform(self.stage, work, self.cache)


@dataclass
class _Seat:
    """One worker and what it is doing."""

    actor: Any
    pending: Any
    work: Work | None = None
    started_s: float = field(default_factory=time.monotonic)
    done: int = 0


class RayRunner:
    """Fans items out to actors under a bounded window: one item per worker in flight.

    A worker that dies or passes its item's deadline is replaced. Its item gets a second attempt
    and is quarantined when that fails too; a lost node does not count against the item.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def run(self, stage: Stage[Any, Any], work: Sequence[Work], cache: Cache) -> Iterator[Outcome]:
        """See Runner.run."""
        connect()
        seats = min(len(work), self.workers or self._capacity(stage))
        yield from _Dispatch(stage, cache, work).run(seats)

    def _capacity(self, stage: Stage[Any, Any]) -> int:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        seats = max(1, int(resources.get("CPU", 1.0) / stage.resources.cpus))
        return min(seats, environment().workers or seats)


class _Dispatch:
    """The state of one run: a queue, the seats, and how often each item has killed its worker."""

    def __init__(self, stage: Stage[Any, Any], cache: Cache, work: Sequence[Work]) -> None:
        self.stage, self.queue = stage, deque(work)
        self.crashes: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.setup_crashes = 0
        self.ready = False
        need = stage.resources
        decorate: Any = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus, max_restarts=0)
        self.remote = decorate(Worker)
        self.stage_ref, self.cache_ref = ray.put(stage), ray.put(cache)
        self.seats: list[_Seat] = []

    def run(self, workers: int) -> Iterator[Outcome]:
        try:
            self.seats = [self._new_seat() for _ in range(workers)]
            while self.seats:
                yield from self._step()
        finally:
            for seat in self.seats:
                ray.kill(seat.actor)

    def _new_seat(self) -> _Seat:
        actor = self.remote.remote(self.stage_ref, self.cache_ref)
        return _Seat(actor, actor.prepare.remote())

    def _step(self) -> Iterator[Outcome]:
        by_ref = {seat.pending: seat for seat in self.seats}
        ready, _ = ray.wait(list(by_ref), num_returns=1, timeout=POLL_S)
        for ref in ready:
            yield from self._collect(by_ref[ref])
        for seat in [seat for seat in self.seats if self._overdue(seat)]:
            yield from self._bury(seat, "deadline", "no answer within its deadline")

    def _collect(self, seat: _Seat) -> Iterator[Outcome]:
        try:
            result = ray.get(seat.pending)
        except _DEATHS as error:
            yield from self._bury(seat, *_cause_of_death(error), error)
            return
        except RayTaskError as error:
            result = self._blame(seat, error)
        except RayError as error:
            yield from self._bury(seat, "worker_crashed", str(error)[:200], error)
            return
        self.ready = True
        if result is not None:
            yield result
        self._next(seat)

    def _blame(self, seat: _Seat, error: RayTaskError) -> Outcome:
        cause = error.cause
        if isinstance(cause, LipforgeError):
            raise cause
        if seat.work is None:
            raise error
        return ending.bug(seat.work, cause)

    def _next(self, seat: _Seat) -> None:
        seat.done += seat.work is not None
        if not self.queue:
            self._dismiss(seat)
            return
        if seat.done >= ITEMS_PER_WORKER:
            self._replace(seat)
            return
        seat.work = self.queue.popleft()
        seat.pending = seat.actor.run.remote(seat.work)
        seat.started_s = time.monotonic()

    def _bury(
        self, seat: _Seat, reason: str, detail: str, error: BaseException | None = None
    ) -> Iterator[Outcome]:
        work = seat.work
        if work is None:
            self._survive_setup_crash(reason, str(error or detail))
            self._dismiss(seat)
            if self.queue and (not self.ready or not self.seats):
                self.seats.append(self._new_seat())
            return
        if self._spent(work, reason):
            yield ending.quarantined(work, reason, detail)
        else:
            self.queue.append(work)
        self._replace(seat)

    def _spent(self, work: Work, reason: str) -> bool:
        """Count a death against its item; lost nodes are counted apart and forgiven longer."""
        table, limit = (
            (self.lost, MAX_LOST_NODES) if reason == "node_lost" else (self.crashes, MAX_CRASHES)
        )
        table[work.key] = table.get(work.key, 0) + 1
        return table[work.key] >= limit

    def _survive_setup_crash(self, reason: str, detail: str) -> None:
        """Put up with seats that never start (no CPU left, say) as long as others work."""
        if self.ready or reason == "node_lost":
            return
        self.setup_crashes += 1
        if self.setup_crashes > MAX_CRASHES:
            name = self.stage.name
            raise ClusterError(f"{name}: workers die or hang before their first item: {detail}")

    def _replace(self, seat: _Seat) -> None:
        self._dismiss(seat)
        if self.queue:
            self.seats.append(self._new_seat())

    def _dismiss(self, seat: _Seat) -> None:
        ray.kill(seat.actor)
        self.seats.remove(seat)

    def _overdue(self, seat: _Seat) -> bool:
        limit = seat.work.deadline_s if seat.work else SETUP_DEADLINE_S
        return time.monotonic() - seat.started_s > limit


def _cause_of_death(error: BaseException) -> tuple[str, str]:
    text = str(error)
    if isinstance(error, NodeDiedError) or "node has died" in text or "node was terminated" in text:
        return "node_lost", "its node was lost"
    if isinstance(error, OutOfMemoryError) or "OutOfMemory" in text or "memory pressure" in text:
        return "out_of_memory", "its worker was killed for memory"
    return "worker_crashed", "its worker process died (segmentation fault or kill)"
