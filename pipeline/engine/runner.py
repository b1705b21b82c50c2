"""Runs one stage over items. Both runners give the same outcomes for the same items.

`SerialRunner` works in this process: tests, debuggers. `RayRunner` (ray_runner.py) survives items
that kill or hang their worker.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

from pipeline.engine import outcome as ending
from pipeline.engine.cache import Cache
from pipeline.engine.outcome import Outcome, Work
from pipeline.engine.stage import Stage
from pipeline.errors import LipforgeError, MediaError, StorageError, TransientError
from pipeline.faults import Caught, fault_of
from pipeline.processor import processor_class


class Runner(Protocol):
    """Anything that runs a stage over items; outcomes come in the order they are finished."""

    def run(self, stage: Stage[Any, Any], work: Sequence[Work], cache: Cache) -> Iterator[Outcome]:
        """Yield one outcome per piece of work."""
        ...


def perform(stage: Stage[Any, Any], work: Work, cache: Cache) -> Outcome:
    """Apply a stage that is set up to one item and commit the result to the cache.

    The only place where exceptions of `process` end. A fault of the moment (`pipeline.faults`) and
    a bug are not cached: they say nothing about the content. A bug is an outcome, too: its
    traceback is only known here.

    Raises:
        StorageError: the result cannot be stored.
        LipforgeError: any other that is not about one input; it stops the run.
    """
    with cache.workdir() as workdir, cache.holding():
        with Caught() as caught:
            result = _process(stage, work, cache, workdir)
        if caught.error is not None:
            result = _ending_of_error(work, caught.error)
        if result.final and not result.transient:
            cache.commit(work.key, _stored(stage, result), workdir)
    return result


def _stored(stage: Stage[Any, Any], result: Outcome) -> dict[str, Any]:
    """Return what the cache keeps; the processor stands beside the outcome, for no table."""
    return {"stage": stage.name, "processor": processor_class(), **result.to_json()}


def _process(stage: Stage[Any, Any], work: Work, cache: Cache, workdir: Path) -> Outcome:
    for key, name in stage.artifacts(work.item):
        cache.artifact_path(key, name)
    return ending.finished(work, stage.process(work.item, workdir))


def _ending_of_error(work: Work, error: BaseException) -> Outcome:
    if isinstance(error, LipforgeError) and not isinstance(error, MediaError):
        raise error
    fault = fault_of(error)
    if isinstance(fault, StorageError):
        raise fault from error
    if isinstance(fault, TransientError):
        trace = "" if isinstance(error, MediaError) else ending.trace_of(error)
        return replace(ending.failed(work, fault), trace=trace)
    if isinstance(error, MediaError):
        return ending.failed(work, error)
    return ending.bug(work, error)


class SerialRunner:
    """Runs in this process, one item after the other. A crash or a hang takes the run with it.

    The BLAS of numpy keeps to one thread, as it does in Ray's workers: in the small products of a
    stage a second one waits, and waiting it burns a core.
    """

    def run(self, stage: Stage[Any, Any], work: Sequence[Work], cache: Cache) -> Iterator[Outcome]:
        """See Runner.run."""
        stage.setup()
        try:
            with ThreadPoolExecutor(1) as thread, threadpool_limits(1, user_api="blas"):
                for one in work:
                    yield thread.submit(perform, stage, one, cache).result()
        finally:
            stage.close()
