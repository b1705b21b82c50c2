"""Memory layout and compilation: faster, with the same weights but for rounding."""

import torch

from trainers.loop.task import Task


def set_memory_format(task: Task, memory_format: torch.memory_format) -> None:
    """Put the weights of all 2-D convolutions into a memory format; their inputs follow."""
    for tensor in [*task.parameters(), *task.buffers()]:
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=memory_format)


def compile_networks(task: Task) -> None:
    """Compile the forward pass of every network with torch.compile, at its first call.

    In place: modules and state dicts keep their names. Only `network(...)` is compiled, not its
    other methods.
    """
    for network in task.children():
        network.compile()
