"""Buffers of trained networks: statistics of batch norm, vectors of spectral norm.

A forward pass in train mode moves them. So a step that fails puts them back, and ranks, whose
items differ, agree on those of the first one after every step: all of them validate the same
network, which is the one that is saved.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainers.processes.world import World


def buffers_of(networks: Sequence[nn.Module]) -> list[Tensor]:
    """Return the buffers of all networks, each once."""
    return list({id(buffer): buffer for one in networks for buffer in one.buffers()}.values())


@contextmanager
def buffers_kept_on_error(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Put the buffers back as they were if the block raises."""
    before = [buffer.clone() for buffer in buffers_of(networks)]
    try:
        yield
    except BaseException:
        for buffer, value in zip(buffers_of(networks), before, strict=True):
            buffer.copy_(value)
        raise


@torch.no_grad()
def agree_on_buffers(networks: Sequence[nn.Module], world: World) -> None:
    """Give all ranks the buffers of rank 0; every rank must call it."""
    if world.size == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for buffer in buffers_of(networks):
        by_type.setdefault(buffer.dtype, []).append(buffer)
    for buffers in by_type.values():
        together = world.from_first(torch.cat([buffer.flatten() for buffer in buffers]))
        parts = torch.split(together, [buffer.numel() for buffer in buffers])
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part.view_as(buffer))
