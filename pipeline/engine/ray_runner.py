"""Runs a stage on Ray: one actor per worker, one call at a time on each.

A call has one item, or several where items take milliseconds. When a worker dies in a call of
several, those that it had finished are in the item cache, and the others are processed again one by
one: so the cause of a death is known, the only item of its call. Ray Data
is not used because it retries an item that segfaults without end and drops whole blocks for one bad
row (see docs/architecture.md).
"""

import resource
import sys
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
from pipeline.engine.agreement import Agreement, agreement_of, insist
from pipeline.engine.cache import Cache
from pipeline.engine.outcome import Outcome, Work
from pipeline.engine.ray_connection import connect, require_local_ray, wanted_cpus
from pipeline.engine.runner import perform
from pipeline.engine.stage import Stage
from pipeline.errors import ClusterError, LipforgeError
from pipeline.params.environment import environment

MAX_SETUP_CRASHES = 2
"""So many workers in a row may die before their first item, when no other one works."""
ITEMS_PER_WORKER = 500
"""A worker is replaced after so many items: decoders leak ..."""
WORK_PER_WORKER_S = 60.0
"""... if they took at least so long: items of milliseconds would wait for new workers most of the
time ..."""
LEAK_BYTES = 256 * 2**20
"""... or if the worker's peak memory has grown by so much since its first call."""
CALL_S = 0.1
"""As many items go into a call as take so long ..."""
ITEMS_PER_CALL = 64
"""... but not more than these."""
RECENT_CALLS = 8
"""The longest mean time per item of so many calls is what the next items are expected to take."""
ATTEMPTS = {"node_lost": 5, "deadline": 2}
"""An item that ended so this often is given up until the next run: neither need be its fault."""
POLL_S = 1.0
SETUP_DEADLINE_S = 600.0
"""A worker that has not started by then is given up: no free CPU in the cluster, or it hangs."""
_DEATHS = (RayActorError, WorkerCrashedError, OutOfMemoryError, NodeDiedError)


class Worker:
    """The actor: one stage, set up once."""

    def __init__(self, stage: Stage[Any, Any], cache: Cache, agreed: Agreement | None) -> None:
        self.stage, self.cache, self.agreed = stage, cache, agreed

    def prepare(self) -> None:
        """Load weights; apart from __init__ so that its errors come back as they are."""
        insist(self.agreed, self.stage)
        self.cache.sweep()
        self.stage.setup()

    def run(self, work: Sequence[Work]) -> "Answer":
        """Process the items of one call, one after the other."""
        started_s = time.monotonic()
        outcomes = [perform(self.stage, one, self.cache) for one in work]
        return Answer(outcomes, time.monotonic() - started_s, peak_bytes())


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker gives back for one call."""

    outcomes: Sequence[Outcome]
    busy_s: float
    peak_bytes: int


def peak_bytes() -> int:
    """Return the most memory this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass
class _Slot:
    """One worker and the items of its call."""

    actor: Any
    pending: Any
    work: Sequence[Work] = ()
    started_s: float = field(default_factory=time.monotonic)
    done: int = 0
    busy_s: float = 0.0
    first_peak: int = 0
    last_peak: int = 0

    def add(self, answer: Answer) -> None:
        """Count one call."""
        self.done += len(answer.outcomes)
        self.busy_s += answer.busy_s
        self.first_peak, self.last_peak = self.first_peak or answer.peak_bytes, answer.peak_bytes

    def is_worn(self) -> bool:
        """Return whether the worker is to be replaced."""
        leaked = self.last_peak - self.first_peak > LEAK_BYTES
        return self.done >= ITEMS_PER_WORKER and (leaked or self.busy_s >= WORK_PER_WORKER_S)

    def limit_s(self) -> float:
        """Return after how many seconds the call is overdue: several items are expected to be quick
        and have as long as one of them; who is not done then gets its own time, alone."""
        return max((one.deadline_s for one in self.work), default=SETUP_DEADLINE_S)


class RayRunner:
    """Fans items out to actors under a bounded window: one call per worker in flight.

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
        self.stage, self.cache, self.queue = stage, cache, deque(longest_first(work))
        self.suspects: list[Work] = []
        self.alone = False
        self.singles: set[str] = set()
        """Keys of items that get a call of their own, since a worker has died with them."""
        self.item_s: deque[float] = deque([CALL_S], maxlen=RECENT_CALLS)
        self.ended: Counter[tuple[str, str]] = Counter()
        self.setup_crashes = 0
        self.ready = False
        self.workers = 1
        need = stage.resources
        decorate: Any = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus, max_restarts=0)
        self.remote = decorate(Worker)
        self.stage_ref, self.cache_ref = ray.put(stage), ray.put(cache)
        self.agreed = agreement_of(stage)
        self.slots: list[_Slot] = []

    def run(self, workers: int) -> Iterator[Outcome]:
        self.workers = workers
        try:
            self.slots = [self._new_slot() for _ in range(workers)]
            yield from self._until_idle()
            self.queue.extend(self.suspects)
            self.alone, self.workers = True, 1
            self.slots = [self._new_slot()] if self.queue else []
            yield from self._until_idle()
        finally:
            for slot in self.slots:
                ray.kill(slot.actor)

    def _until_idle(self) -> Iterator[Outcome]:
        while self.slots:
            yield from self._step()

    def _new_slot(self) -> _Slot:
        actor = self.remote.remote(self.stage_ref, self.cache_ref, self.agreed)
        return _Slot(actor, actor.prepare.remote())

    def _step(self) -> Iterator[Outcome]:
        by_ref = {slot.pending: slot for slot in self.slots}
        ready, _ = ray.wait(list(by_ref), num_returns=1, timeout=POLL_S)
        if not ready:
            require_local_ray()
        for ref in ready:
            yield from self._collect(by_ref[ref])
        for slot in [slot for slot in self.slots if self._overdue(slot)]:
            yield from self._handle_death(slot, "deadline", "no answer within its deadline")
        if not self.queue:  # who is still preparing came too late
            for slot in [slot for slot in self.slots if not slot.work]:
                self._stop(slot)

    def _collect(self, slot: _Slot) -> Iterator[Outcome]:
        try:
            answer = ray.get(slot.pending)
        except _DEATHS as error:
            yield from self._handle_death(slot, *_cause_of_death(error), error)
            return
        except RayTaskError as error:
            answer = self._answer_of_error(slot, error)
        except RayError as error:
            yield from self._handle_death(slot, "worker_crashed", str(error)[:200], error)
            return
        self.ready, self.setup_crashes = True, 0
        if answer is not None:
            yield from self._count(slot, answer)
        self._next(slot)

    def _count(self, slot: _Slot, answer: Answer) -> Iterator[Outcome]:
        slot.add(answer)
        if answer.outcomes:
            self.item_s.append(answer.busy_s / len(answer.outcomes))
        yield from answer.outcomes

    def _answer_of_error(self, slot: _Slot, error: RayTaskError) -> Answer:
        cause = error.cause
        if isinstance(cause, LipforgeError):
            raise cause
        if not slot.work:
            raise error
        if len(slot.work) > 1:
            return Answer(self._split(slot.work), CALL_S, 0)
        outcome = replace(ending.bug(slot.work[0], cause), trace=ending.trace_of(error))
        return Answer([outcome], CALL_S, 0)

    def _next(self, slot: _Slot) -> None:
        if not self.queue:
            self._stop(slot)
            return
        if slot.is_worn():
            self._replace(slot)
            return
        slot.work = self._take()
        slot.pending = slot.actor.run.remote(slot.work)
        slot.started_s = time.monotonic()

    def _take(self) -> list[Work]:
        """Take the items of the next call from the queue: at least one."""
        most = min(ITEMS_PER_CALL, int(CALL_S / max(1e-6, *self.item_s)))
        most = min(most, len(self.queue) // (2 * self.workers))  # the last ones: spread
        taken = [self.queue.popleft()]
        while len(taken) < most and not {taken[0].key, self.queue[0].key} & self.singles:
            taken.append(self.queue.popleft())
        return taken

    def _split(self, work: Sequence[Work]) -> list[Outcome]:
        """Return what a lost call of several items had finished; let the others come one by one."""
        finished = []
        for one in work:
            stored = self.cache.lookup(one.key)
            if stored is None:
                self.singles.add(one.key)
                self.queue.append(one)
            else:
                outcome = Outcome.from_json(stored, one.item_id, one.key)
                finished.append(replace(outcome, cached=False))
        return finished

    def _handle_death(
        self, slot: _Slot, reason: str, detail: str, error: BaseException | None = None
    ) -> Iterator[Outcome]:
        require_local_ray()
        if not slot.work:
            self._count_setup_crash(reason, str(error or detail))
            self._stop(slot)
            if self.queue and (not self.ready or not self.slots):
                self.slots.append(self._new_slot())
            return
        if len(slot.work) > 1:
            yield from self._split(slot.work)
        else:
            yield from self._blame(slot.work[0], reason, detail)
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
        return time.monotonic() - slot.started_s > slot.limit_s()


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
