"""Rank, number of ranks and device of this process, and agreement between ranks.

The same training function runs in one process, under torchrun's environment and in a worker of
Ray Train, which has set up the process group already.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from pipeline.errors import LipforgeError

Result = TypeVar("Result")
"""Plain python, as it goes to the other ranks."""


@dataclass(frozen=True, slots=True)
class World:
    """This process, one of `size`."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum over all ranks; every rank must call it."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def from_first(self, values: Tensor) -> Tensor:
        """Return rank 0's values, which stand in for those given; every rank must call it."""
        if self.size > 1:
            distributed.broadcast(values, src=0)
        return values

    def gathered(self, value: Any) -> list[Any]:
        """Return every rank's value (plain python), by rank; every rank must call it."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank; every rank must call it."""
        if self.size == 1:
            return flag
        return bool(self.summed(torch.tensor(float(flag), device=self.device)).item())

    def by_first(self, work: Callable[[], Result]) -> Result:
        """Let the first rank work while the others wait; return its result on all.

        Every rank must call it.

        Raises:
            LipforgeError: what `work` raised, on all ranks.
        """
        answer = self.gathered(_answer(work) if self.first else None)[0]
        if isinstance(answer, LipforgeError):
            raise answer
        result: Result = answer
        return result

    def wait(self) -> None:
        """Barrier: return when all ranks have called it."""
        self.any(False)


@contextmanager
def joined() -> Iterator[World]:
    """Join the process group that exists or that RANK and WORLD_SIZE name; else stay alone.

    nccl where every process has a GPU, else gloo.
    """
    if distributed.is_initialized():  # Ray Train's, and not ours to end
        yield _world()
    elif "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("nccl" if cuda else "gloo")
        try:
            yield _world()
        finally:
            distributed.destroy_process_group()
    else:
        yield World(device=_device())


def _answer(work: Callable[[], Result]) -> Result | LipforgeError:
    """Return errors instead of raising them: the other ranks wait for an answer."""
    try:
        return work()
    except LipforgeError as error:
        return error


def _world() -> World:
    return World(distributed.get_rank(), distributed.get_world_size(), _device())


def _device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
