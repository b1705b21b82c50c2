"""Runs a stage on Ray: one actor per worker, one call at a time on each.

A call has one item, or several where items take milliseconds. When a worker dies in a call of
several, those that it had finished are in the item cache, and the others are processed again one by
one: so the cause of a death is known, the only item of its call. Ray Data
is not used because it retries an item that segfaults without end and drops whole blocks for one bad
row (see docs/architecture.md).

Who runs where: ray_seats.py. What a worker does: ray_worker.py, ray_slot.py. Which item is next and
who is to blame for a death: ray_queue.py, ray_deaths.py. The loop: ray_dispatch.py.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.engine.cache import Cache
from pipeline.engine.outcome import Outcome, Work
from pipeline.engine.ray_connection import connect
from pipeline.engine.ray_dispatch import Dispatch
from pipeline.engine.ray_queue import WorkQueue
from pipeline.engine.ray_seats import Seats
from pipeline.engine.stage import Stage


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
        seats = Seats.of(stage.resources, self.workers)
        yield from Dispatch(WorkQueue(stage, cache, work), seats).run()
