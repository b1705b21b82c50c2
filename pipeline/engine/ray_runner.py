"""Runs a stage on Ray: one actor per worker, one item at a time on each.

With one item at a time the cause of a worker's death is known: the item it was processing. Ray Data
is not used because it retries an item that segfaults without end and drops whole blocks for one bad
row (see docs/architecture.md).
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
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
from pipeline.engine.ray_connection import connect, wanted_cpus
from pipeline.engine.runner import perform
from pipeline.engine.stage import Stage
from pipeline.errors import ClusterError, LipforgeError
from pipeline.params.environment import environment

MAX_SETUP_CRASHES = 2
"""So many workers in a row may die before their first item, when no other one works."""
ITEMS_PER_WORKER = 500
"""A worker is replaced after so many items: decoders leak."""
ATTEMPTS = {"node_lost": 5, "deadline": 2}
"""An item that ended so this often is given up until the next run: neither need be its fault."""
POLL_S = 1.0
SETUP_DEADLINE_S = 600.0
"""A worker that has not started by then is given up: no free CPU in the cluster, or it hangs."""
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
class _Slot:
    """One worker and the item it is processing."""

    actor: Any
    pending: Any
    work: Work | None = None
    started_s: float = field(default_factory=time.monotonic)
    done: int = 0


class RayRunner:
    """Fans items out to actors under a bounded window: one item per worker in flight.

    A worker that dies or passes its item's deadline is replaced. An item that crashed gets a second
    attempt when all others are finished, alone: only then is it known who killed the worker. If it
    crashes alone it is quarantined. A deadline, too little memory and a lost node may be the
    machine's fault: after some attempts such an item has failed, and the next run tries again.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def run(self, stage: Stage[Any, Any], work: Sequence[Work], cache: Cache) -> Iterator[Outcome]:
        """See Runner.run."""
        connect()
        slots = min(len(work), self.workers or self._capacity(stage))
        yield from _Dispatch(stage, cache, work).run(slots)

    def _capacity(self, stage: Stage[Any, Any]) -> int:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = resources.get("CPU", 1.0)
        if not environment().ray_address:
            cpus = min(cpus, wanted_cpus())  # a head may have more, of a command before
        slots = max(1, int(cpus / stage.resources.cpus))
        return min(slots, environment().workers or slots)


class _Dispatch:
    """The state of one run: queue, worker slots, items to be tried alone, ends of workers."""

    def __init__(self, stage: Stage[Any, Any], cache: Cache, work: Sequence[Work]) -> None:
        self.stage, self.queue = stage, deque(longest_first(work))
        self.suspects: list[Work] = []
        self.alone = False
        self.ended: Counter[tuple[str, str]] = Counter()
        self.setup_crashes = 0
        self.ready = False
        need = stage.resources
        decorate: Any = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus, max_restarts=0)
        self.remote = decorate(Worker)
        self.stage_ref, self.cache_ref = ray.put(stage), ray.put(cache)
        self.slots: list[_Slot] = []

    def run(self, workers: int) -> Iterator[Outcome]:
        try:
            self.slots = [self._new_slot() for _ in range(workers)]
            yield from self._until_idle()
            self.queue.extend(self.suspects)
            self.alone = True
            self.slots = [self._new_slot()] if self.queue else []
            yield from self._until_idle()
        finally:
            for slot in self.slots:
                ray.kill(slot.actor)

    def _until_idle(self) -> Iterator[Outcome]:
        while self.slots:
            yield from self._step()

    def _new_slot(self) -> _Slot:
        actor = self.remote.remote(self.stage_ref, self.cache_ref)
        return _Slot(actor, actor.prepare.remote())

    def _step(self) -> Iterator[Outcome]:
        by_ref = {slot.pending: slot for slot in self.slots}
        ready, _ = ray.wait(list(by_ref), num_returns=1, timeout=POLL_S)
        for ref in ready:
            yield from self._collect(by_ref[ref])
        for slot in [slot for slot in self.slots if self._overdue(slot)]:
            yield from self._handle_death(slot, "deadline", "no answer within its deadline")

    def _collect(self, slot: _Slot) -> Iterator[Outcome]:
        try:
            result = ray.get(slot.pending)
        except _DEATHS as error:
            yield from self._handle_death(slot, *_cause_of_death(error), error)
            return
        except RayTaskError as error:
            result = self._outcome_of_error(slot, error)
        except RayError as error:
            yield from self._handle_death(slot, "worker_crashed", str(error)[:200], error)
            return
        self.ready, self.setup_crashes = True, 0
        if result is not None:
            yield result
        self._next(slot)

    def _outcome_of_error(self, slot: _Slot, error: RayTaskError) -> Outcome:
        cause = error.cause
        if isinstance(cause, LipforgeError):
            raise cause
        if slot.work is None:
            raise error
        return replace(ending.bug(slot.work, cause), trace=ending.trace_of(error))

    def _next(self, slot: _Slot) -> None:
        slot.done += slot.work is not None
        if not self.queue:
            self._stop(slot)
            return
        if slot.done >= ITEMS_PER_WORKER:
            self._replace(slot)
            return
        slot.work = self.queue.popleft()
        slot.pending = slot.actor.run.remote(slot.work)
        slot.started_s = time.monotonic()

    def _handle_death(
        self, slot: _Slot, reason: str, detail: str, error: BaseException | None = None
    ) -> Iterator[Outcome]:
        work = slot.work
        if work is None:
            self._count_setup_crash(reason, str(error or detail))
            self._stop(slot)
            if self.queue and (not self.ready or not self.slots):
                self.slots.append(self._new_slot())
            return
        yield from self._blame(work, reason, detail)
        self._replace(slot)

    def _blame(self, work: Work, reason: str, detail: str) -> Iterator[Outcome]:
        """Put the item of a dead worker back, or end it."""
        self.ended[work.key, reason] += 1
        again = replace(work, item=self.stage.plain(work.item))
        if self.ended[work.key, reason] < ATTEMPTS.get(reason, 0):
            self.queue.append(again)
        elif reason not in ATTEMPTS and not self.alone:
            self.suspects.append(again)
        elif reason == "worker_crashed":
            yield ending.quarantined(work, reason, f"{detail}, with no other item in work")
        else:
            yield ending.given_up(work, reason, detail)

    def _count_setup_crash(self, reason: str, detail: str) -> None:
        """Tolerate workers that never start (no CPU left, say) as long as others process items."""
        if reason == "node_lost" or (self.ready and len(self.slots) > 1):
            return
        self.setup_crashes += 1
        if self.setup_crashes > MAX_SETUP_CRASHES:
            name = self.stage.name
            raise ClusterError(f"{name}: workers die or hang before their first item: {detail}")

    def _replace(self, slot: _Slot) -> None:
        self._stop(slot)
        if self.queue:
            self.slots.append(self._new_slot())

    def _stop(self, slot: _Slot) -> None:
        ray.kill(slot.actor)
        self.slots.remove(slot)

    def _overdue(self, slot: _Slot) -> bool:
        limit = slot.work.deadline_s if slot.work else SETUP_DEADLINE_S
        return time.monotonic() - slot.started_s > limit


def longest_first(work: Sequence[Work]) -> list[Work]:
    """Return the items by descending deadline, then by name: no long one is left for the end."""
    return sorted(work, key=lambda one: (-one.deadline_s, one.item_id))


def _cause_of_death(error: BaseException) -> tuple[str, str]:
    text = str(error)
    if isinstance(error, NodeDiedError) or "node has died" in text or "node was terminated" in text:
        return "node_lost", "its node was lost"
    if isinstance(error, OutOfMemoryError) or "OutOfMemory" in text or "memory pressure" in text:
        return "out_of_memory", "its worker was killed for memory"
    return "worker_crashed", "its worker process died (segmentation fault or kill)"
