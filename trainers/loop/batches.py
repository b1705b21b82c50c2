"""Batches for the loop: by step and rank, in micro-batches, read ahead."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch import Tensor

from trainers.loop.task import Batch


class BatchSource(ABC):
    """Batches as a pure function of (seed, step): no global random stream, no state."""

    @abstractmethod
    def batch_at(self, step: int, rank: int, size: int) -> Batch:
        """Return places rank, rank + size, ... of the batch of `step`, the same for any size."""

    def batches(self, first_step: int, rank: int, size: int) -> Iterator[Batch]:
        """Yield the batches from `first_step` on. A source with workers of its own overrides it."""
        for step in count(first_step):
            yield self.batch_at(step, rank, size)


class WholeBatches(BatchSource):
    """Every rank computes the whole batch and slices its part: for small data and tests."""

    def __init__(self, batch_at: Callable[[int], Batch]) -> None:
        """Take the pure function step -> whole batch."""
        self._batch_at = batch_at

    def batch_at(self, step: int, rank: int, size: int) -> Batch:
        """Return this rank's part."""
        return taken(self._batch_at(step), slice(rank, None, size))


def taken(batch: Batch, places: slice) -> Batch:
    """Return the items at `places` of tensors and lists."""
    wrong = [name for name, value in batch.items() if len(value) != len(batch["keys"])]
    assert not wrong, f"not one entry per key: {wrong}"
    return {name: value[places] for name, value in batch.items()}


def micro_batches(batch: Batch, items: int | None) -> list[Batch]:
    """Split a batch into parts of at most `items` items, in order."""
    total = len(batch["keys"])
    step = items or total
    return [taken(batch, slice(first, first + step)) for first in range(0, total, step)]


def prepared(batch: Batch, device: torch.device, step: int) -> Batch:
    """Return a micro-batch as a task's losses and metrics see it: on `device`, with the step."""
    return {**moved(batch, device), "step": step}


def moved(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with its tensors on `device`.

    To a GPU by way of pinned memory, asynchronously. Call it on micro-batches, just before use:
    then no more than two of them are pinned at a time, however large the batch, and the next one is
    pinned while the GPU still computes.
    """
    return {name: _moved(value, device) for name, value in batch.items()}


def _moved(value: Any, device: torch.device) -> Any:
    if not isinstance(value, Tensor):
        return value
    if device.type == "cuda" and value.device.type == "cpu" and not value.is_pinned():
        value = value.pin_memory()
    return value.to(device, non_blocking=True)


def bytes_per_item(batch: Batch) -> float:
    """Return the memory of a batch's tensors, divided by its items."""
    tensors = [value for value in batch.values() if isinstance(value, Tensor)]
    return sum(value.nbytes for value in tensors) / len(batch["keys"])


@contextmanager
def read_ahead(source: Iterator[Batch], depth: int) -> Iterator[Iterator[Batch]]:
    """Yield the same batches, prefetched by one thread at most `depth` ahead; 0: no prefetching.

    An error of the source is raised at its batch. Leaving the block waits for the
    batch in work, ends the thread and closes the source.
    """
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        try:
            yield _ahead(source, depth, pool) if depth else source
        finally:
            pool.shutdown(cancel_futures=True)
            if isinstance(source, Generator):
                source.close()


def _ahead(source: Iterator[Batch], depth: int, pool: ThreadPoolExecutor) -> Iterator[Batch]:
    waiting = deque(pool.submit(next, source, None) for _ in range(depth))
    while (batch := waiting.popleft().result()) is not None:
        waiting.append(pool.submit(next, source, None))
        yield batch
