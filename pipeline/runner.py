"""Runs one stage over items. Both runners give the same outcomes for the same items.

`SerialRunner` works in this process: tests, debuggers. `RayRunner` (ray_runner.py) survives items
that kill or hang their worker.
"""

import errno
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from pipeline import outcome as ending
from pipeline.cache import Cache
from pipeline.errors import LipforgeError, MediaError, StorageError
from pipeline.outcome import Outcome, Work
from pipeline.stage import Reject, Stage

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class Runner(Protocol):
    """Anything that runs a stage over items; outcomes come in the order they are finished."""

    def run(self, stage: Stage[Any, Any], work: Sequence[Work], cache: Cache) -> Iterator[Outcome]:
        """Yield one outcome per piece of work."""
        ...


def perform(stage: Stage[Any, Any], work: Work, cache: Cache) -> Outcome:
    """Apply a stage that is set up to one item and commit the result to the cache.

    The only place where MediaError is caught.

    Raises:
        StorageError: the result cannot be stored.
    """
    with cache.workdir() as workdir:
        for key, name in stage.artifacts(work.item):
            cache.artifact_path(key, name)
        try:
            produced = stage.process(work.item, workdir)
        except MediaError as error:
            result = ending.failed(work, error)
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise
            raise StorageError(f"{stage.name}: {work.item_id}: {error}") from error
        else:
            result = _judge(work, produced)
        cache.commit(work.key, {"stage": stage.name, **result.to_json()}, workdir)
    return result


def _judge(work: Work, produced: Sequence[Any] | Reject) -> Outcome:
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
