"""bf16 and fp16 by autocast; trained weights and the optimizer stay float32.

Autocast casts the weights of convolutions and linear layers at every call, and keeps the result
only for weights that have a gradient. Frozen networks are cast once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from pipeline.params.fit import FitParams
from trainers.loop.task import Task

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
CAST_BY_AUTOCAST = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose weights autocast rounds. Norms and what a network multiplies itself stay float32."""


@contextmanager
def autocast(params: FitParams, device: torch.device) -> Iterator[None]:
    """Compute in the precision that the params name."""
    dtype = DTYPES.get(params.precision)
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        yield


def new_scaler(params: FitParams, device: torch.device) -> GradScaler:
    """Return a gradient scaler, which does nothing unless the precision is fp16."""
    return GradScaler(device.type, enabled=params.precision == "fp16")


def cast_frozen_networks(task: Task, params: FitParams) -> None:
    """Cast the task's frozen networks once; nothing in fp32. Under autocast no number changes."""
    dtype = DTYPES.get(params.precision)
    for name in task.frozen if dtype else ():
        cast_layers(task.get_submodule(name), dtype)


def cast_layers(network: nn.Module, dtype: torch.dtype | None) -> None:
    """Round the weights that autocast to `dtype` would round at every call, in place.

    Half the memory for them, and no time for casting. The network then runs under autocast only.
    """
    for module in network.modules():
        if isinstance(module, CAST_BY_AUTOCAST):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
