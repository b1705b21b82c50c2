"""Runs one stage over items. Both runners give the same outcomes for the same items.

`SerialRunner` works in this process: tests, debuggers. `RayRunner` (ray_runner.py) survives items
that kill or hang their worker.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from pipeline.engine import outcome as ending
from pipeline.engine.cache import Cache
from pipeline.engine.outcome import Outcome, Work
from pipeline.engine.stage import Reject, Stage
from pipeline.errors import (
    DISK_ERRORS,
    LipforgeError,
    MediaError,
    StorageError,
    UnreadableError,
)


class Runner(Protocol):
    """Anything that runs a stage over items; outcomes come in the order they are finished."""

    def run(self, stage: Stage[Any, Any], work: Sequence[Work], cache: Cache) -> Iterator[Outcome]:
        """Yield one outcome per piece of work."""
        ...


def perform(stage: Stage[Any, Any], work: Work, cache: Cache) -> Outcome:
    """Apply a stage that is set up to one item and commit the result to the cache.

    The only place where MediaError is caught. What the file system or the network refused is not
    cached: it may go well next time, and says nothing about the content.

    Raises:
        StorageError: the result cannot be stored, or a file of the item cache is gone.
    """
    with cache.workdir() as workdir:
        _fetch_artifacts(stage.artifacts(work.item), cache)
        try:
            produced = stage.process(work.item, workdir)
        except UnreadableError as error:
            return ending.failed(work, error)
        except MediaError as error:
            result = ending.failed(work, error)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            raise StorageError(f"{stage.name}: {work.item_id}: {error}") from error
        else:
            result = _outcome_of(work, produced)
        cache.commit(work.key, {"stage": stage.name, **result.to_json()}, workdir)
    return result


def _fetch_artifacts(artifacts: Sequence[tuple[str, str]], cache: Cache) -> None:
    """Fetch what an item needs; a lost cache must never look like a fault of the item."""
    for key, name in artifacts:
        try:
            path = cache.artifact_path(key, name)
        except OSError as error:
            raise StorageError(f"{name}: cannot be fetched from the cache: {error}") from error
        if not path.exists():
            raise StorageError(f"{path}: gone from the item cache; run `dvc repro -f faces`")


def _outcome_of(work: Work, produced: Sequence[Any] | Reject) -> Outcome:
    if isinstance(produced, Reject):
        return ending.rejected(work, produced)
    return ending.kept(work, produced)


class SerialRunner:
    """Runs in this process, one item after the other. A crash or a hang takes the run with it."""

    def run(self, stage: Stage[Any, Any], work: Sequence[Work], cache: Cache) -> Iterator[Outcome]:
        """See Runner.run."""
        stage.setup()
        try:
            with ThreadPoolExecutor(1) as thread:
                for one in work:
                    yield _ending_of(thread.submit(perform, stage, one, cache), one)
        finally:
            stage.close()


def _ending_of(future: "Future[Outcome]", work: Work) -> Outcome:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, LipforgeError):
        raise error
    return ending.bug(work, error)
