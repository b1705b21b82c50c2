"""The actor that processes items, and what it says of itself and of each call."""

import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from pipeline.engine.agreement import Agreement, insist
from pipeline.engine.cache import Cache
from pipeline.engine.outcome import Outcome, Work
from pipeline.engine.runner import perform
from pipeline.engine.stage import Stage
from pipeline.processor import processor_class


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Where a worker runs."""

    node: str
    """Ray's id of the node."""
    pid: int
    kernel_kills: int = 0
    """See `kernel_kills`, when the worker started."""
    processor: str = ""
    """Its class, see `pipeline.processor`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker gives back for one call."""

    outcomes: Sequence[Outcome]
    busy_s: float
    peak_bytes: int


class Worker:
    """The actor: one stage, set up once. Its calls are `where`, `prepare`, then `run` each time."""

    def __init__(self, stage: Stage[Any, Any], cache: Cache, agreed: Agreement | None) -> None:
        self.stage, self.cache, self.agreed = stage, cache, agreed

    def where(self) -> WorkerPlace:
        """Return where this worker runs; an answer means that its node has a seat for it."""
        node = ray.get_runtime_context().get_node_id()
        return WorkerPlace(node, os.getpid(), kernel_kills(), processor_class())

    def prepare(self) -> None:
        """Make ready for the first item; apart from __init__ so that errors come back as they are.

        What must hold on the worker's machine is checked here, before the weights are loaded.
        """
        insist(self.agreed, self.stage)
        self.cache.sweep()
        self.stage.setup()

    def run(self, work: Sequence[Work]) -> Answer:
        """Process the items of one call, one after the other."""
        started_s = time.monotonic()
        outcomes = [perform(self.stage, one, self.cache) for one in work]
        return Answer(outcomes, time.monotonic() - started_s, peak_bytes())


def peak_bytes() -> int:
    """Return the most memory this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def kernel_kills() -> int:
    """Return how many processes this machine's kernel has killed for memory since it started."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
