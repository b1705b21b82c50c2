"""bf16 and fp16 by autocast; the weights and the optimizer stay float32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.amp.grad_scaler import GradScaler

from pipeline.params.fit import FitParams

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def autocast(params: FitParams, device: torch.device) -> Iterator[None]:
    """Compute in the precision that the params name."""
    dtype = _DTYPES.get(params.precision)
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        yield


def new_scaler(params: FitParams, device: torch.device) -> GradScaler:
    """Return a gradient scaler, which does nothing unless the precision is fp16."""
    return GradScaler(device.type, enabled=params.precision == "fp16")
