"""The driver's loop over one run: workers come and go, each has one call at a time."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.engine import outcome as ending
from pipeline.engine.agreement import agreement_of
from pipeline.engine.outcome import Outcome
from pipeline.engine.ray_connection import require_local_ray
from pipeline.engine.ray_deaths import (
    MACHINE_ATTEMPTS,
    Death,
    death_of,
    is_unavailable,
    killed_for_memory,
)
from pipeline.engine.ray_queue import WorkQueue
from pipeline.engine.ray_seats import Seats
from pipeline.engine.ray_slot import Slot, State
from pipeline.engine.ray_worker import Answer, Worker, kernel_kills
from pipeline.errors import ClusterError, LipforgeError
from pipeline.processor import difference

MAX_SETUP_CRASHES = 2
"""So many workers in a row may die before their first item, when no other one works ..."""
MAX_SETUP_LOSSES = 10
"""... or be lost with their node."""
NO_WORKER_S = 1800.0
"""A run of which no worker has found a node with room by then ends."""
SAY_WAITING_S = 30.0
PAUSE_S = 30.0
"""No new worker is started for so long after a machine ran out of memory, while others work."""
PROBE_S = 10.0
POLL_S = 1.0


class Dispatch:
    """The workers of one run."""

    def __init__(self, items: WorkQueue, seats: Seats) -> None:
        self.items, self.seats, self.stage = items, seats, items.stage
        self.remote: Any = ray.remote(Worker)
        self.stage_ref, self.cache_ref = ray.put(items.stage), ray.put(items.cache)
        self.agreed = agreement_of(items.stage)
        self.slots: list[Slot] = []
        self.setup_crashes = 0
        self.worked_s = time.monotonic()
        self.paused_until_s = self.looked_s = 0.0
        self.said_waiting = False
        self.processors: set[str] = set()
        """Classes of those that have workers, see `pipeline.processor`."""
        self.kills: dict[str, int] = {}
        """Node -> processes that its kernel has killed for memory, when last asked."""

    def run(self) -> Iterator[Outcome]:
        """Yield one outcome per item."""
        try:
            yield from self._until_idle()
            self.items.bring_suspects()
            self.seats = replace(self.seats, most=1)
            yield from self._until_idle()
        finally:
            for slot in self.slots:
                ray.kill(slot.actor)

    def _until_idle(self) -> Iterator[Outcome]:
        while self.items or self.slots:
            yield from self._look_after()
            yield from self._step()

    def _step(self) -> Iterator[Outcome]:
        by_ref = {slot.pending: slot for slot in self.slots if slot.pending is not None}
        if not by_ref:
            time.sleep(POLL_S if self.items else 0.0)
            return
        ready, _ = ray.wait(list(by_ref), num_returns=1, timeout=POLL_S)
        if not ready:
            require_local_ray()
        for ref in ready:
            yield from self._collect(by_ref[ref])
        if not self.items:  # who is still preparing came too late
            for slot in [slot for slot in self.slots if not slot.work]:
                self._stop(slot)

    def _look_after(self) -> Iterator[Outcome]:
        """Ask for workers; end those that hang; ask again who could not be reached."""
        if time.monotonic() - self.looked_s < POLL_S:
            return
        self.looked_s = time.monotonic()
        for slot in [slot for slot in self.slots if slot.is_overdue()]:
            yield from self._bury(slot, Death("deadline", "no answer within its deadline"))
        for slot in list(self.slots):
            if slot.state is State.SOUGHT and slot.pending is None:
                slot.pending = slot.actor.where.remote()
            if slot.state is State.READY:
                self._next(slot)
        self._ask_for_workers()

    def _ask_for_workers(self) -> None:
        waiting = sum(slot.state is State.WAITING for slot in self.slots)
        placed = len(self.slots) - waiting
        self._check_waiting(placed)
        if placed and time.monotonic() < self.paused_until_s:
            return
        wanted = self.seats.wanted(placed, waiting, len(self.items))
        options: Any = self.seats.options() if wanted else {}
        for _ in range(wanted):
            remote = self.remote.options(max_restarts=0, **options)
            actor = remote.remote(self.stage_ref, self.cache_ref, self.agreed)
            self.slots.append(Slot(actor, actor.where.remote()))

    def _check_waiting(self, placed: int) -> None:
        """Say that no node has room, and end the run if that lasts.

        Raises:
            ClusterError: it has lasted for NO_WORKER_S.
        """
        if placed or not self.items:
            self.worked_s = time.monotonic()
            return
        waited_s = time.monotonic() - self.worked_s
        if waited_s > NO_WORKER_S:
            raise ClusterError(
                f"{self.stage.name}: no worker has started within {NO_WORKER_S:.0f} s: no node of "
                f"the cluster has room for {self.seats}"
            )
        if waited_s > SAY_WAITING_S and not self.said_waiting:
            self.said_waiting = True
            text = f"waits for a node with room for a worker: {self.seats}"
            sys.stderr.write(f"{self.stage.name}: {text}\n")

    def _collect(self, slot: Slot) -> Iterator[Outcome]:
        try:
            answer = ray.get(slot.pending)
        except RayTaskError as error:
            yield from self._failed_call(slot, error)
        except RayError as error:
            if is_unavailable(error):
                yield from self._seek(slot, error)
            else:
                yield from self._bury(slot, self._death(slot, error), error)
        else:
            yield from self._answered(slot, answer)

    def _answered(self, slot: Slot, answer: Any) -> Iterator[Outcome]:
        if slot.state is State.WAITING or (slot.state is State.SOUGHT and not slot.work):
            slot.place, slot.lost_s, self.looked_s = answer, None, 0.0
            self._meet(slot.place.processor)
            slot.ask(State.PREPARING, slot.actor.prepare.remote())
        elif slot.state is State.SOUGHT:
            yield from self._found_again(slot)
        else:
            self.setup_crashes = 0
            if slot.state is State.WORKING:
                yield from self._count(slot, answer)
            self._next(slot)

    def _meet(self, processor: str) -> None:
        """Say it once where workers' processors may differ in the last bits."""
        told = difference(self.processors)
        self.processors.add(processor)
        if not told and (now := difference(self.processors)):
            sys.stderr.write(f"warning: {self.stage.name}: {now}\n")

    def _count(self, slot: Slot, answer: Answer) -> Iterator[Outcome]:
        slot.add(answer)
        slot.work = ()
        self.items.count(answer)
        yield from answer.outcomes

    def _failed_call(self, slot: Slot, error: RayTaskError) -> Iterator[Outcome]:
        cause = error.cause
        if isinstance(cause, LipforgeError):
            raise cause
        if not slot.work:
            yield from self._bury(slot, Death("worker_crashed", f"{cause!r}"), error)
            return
        work, slot.work = slot.work, ()
        if len(work) > 1:
            yield from self.items.split(work)
        else:
            yield replace(ending.bug(work[0], cause), trace=ending.trace_of(error))
        self._next(slot)

    def _seek(self, slot: Slot, error: RayError) -> Iterator[Outcome]:
        """Ask later where a worker is that could not be reached; give it up in the end."""
        if slot.is_out_of_reach():
            death = Death("node_lost", "its worker could not be reached", by_machine=True)
            yield from self._bury(slot, death, error)
        else:
            slot.ask(State.SOUGHT, None)

    def _found_again(self, slot: Slot) -> Iterator[Outcome]:
        """Let a worker go on; the call that was cut off may have been made, or may not."""
        slot.lost_s = None
        slot.times_sought += 1
        found, slot.work = self.items.finished(slot.work)
        yield from found
        if slot.times_sought > MACHINE_ATTEMPTS:
            death = Death("node_lost", "its worker could not be reached, again", by_machine=True)
            yield from self._bury(slot, death)
        elif slot.work:
            slot.ask(State.WORKING, slot.actor.run.remote(slot.work))
        else:
            self._next(slot)

    def _next(self, slot: Slot) -> None:
        if not self.items or slot.is_worn():
            self._stop(slot)
            return
        nodes = {one.place.node for one in self.slots if one.place.node}
        slot.work = self.items.take(slot.place.node, nodes, len(self.slots))
        pending = slot.actor.run.remote(slot.work) if slot.work else None
        slot.ask(State.WORKING if slot.work else State.READY, pending)

    def _death(self, slot: Slot, error: RayError) -> Death:
        share, pid = self.stage.resources.memory_bytes, slot.place.pid
        death = death_of(error, pid, share, slot.last_peak)
        if death.reason == "worker_crashed" and slot.place.node and self._killed_by_kernel(slot):
            return killed_for_memory(slot.last_peak, share)
        return death

    def _killed_by_kernel(self, slot: Slot) -> bool:
        """Return whether the kernel of the worker's machine has killed a process for memory since
        the worker started, or since that was asked before.
        """
        where = NodeAffinitySchedulingStrategy(slot.place.node, soft=False)
        remote: Any = ray.remote(kernel_kills)
        probe = remote.options(num_cpus=0, max_retries=0, scheduling_strategy=where)
        try:
            now: int = ray.get(probe.remote(), timeout=PROBE_S)
        except (RayError, GetTimeoutError):
            return False
        before = max(slot.place.kernel_kills, self.kills.get(slot.place.node, 0))
        self.kills[slot.place.node] = now
        return now > before

    def _bury(
        self, slot: Slot, death: Death, error: BaseException | None = None
    ) -> Iterator[Outcome]:
        """End a worker that is dead or given up, and see to its items."""
        require_local_ray()
        self._stop(slot)
        if not slot.work:
            self._count_setup_crash(death, error)
            return
        if death.reason == "out_of_memory":
            self._pause(PAUSE_S)
        if len(slot.work) > 1:
            yield from self.items.split(slot.work)
        elif (outcome := self.items.blame(slot.work[0], death, slot.place.node)) is not None:
            yield outcome

    def _count_setup_crash(self, death: Death, error: BaseException | None) -> None:
        """Tolerate workers that do not get ready (on one bad node, say) while others work.

        Raises:
            ClusterError: nobody works and too many did not get ready.
        """
        self.setup_crashes += 1
        if any(slot.work for slot in self.slots):
            self._pause(min(PAUSE_S, 2.0**self.setup_crashes))
            return
        lost = death.reason == "node_lost"
        if self.setup_crashes > (MAX_SETUP_LOSSES if lost else MAX_SETUP_CRASHES):
            said = death.detail if isinstance(error, RayTaskError) else str(error or death.detail)
            raise ClusterError(
                f"{self.stage.name}: workers die or hang before their first item: {said}"
            ) from error

    def _pause(self, seconds: float) -> None:
        self.paused_until_s = time.monotonic() + seconds

    def _stop(self, slot: Slot) -> None:
        ray.kill(slot.actor)
        self.slots.remove(slot)
        self.looked_s = 0.0
