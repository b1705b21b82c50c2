"""Exponential moving average of the trained weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """After update n (from 1): average = d * average + (1 - d) * weights.

    d = min(decay, (1 + n) / (10 + n)): a smaller decay in the first updates, so that the random
    initialization is forgotten (as TensorFlow's ExponentialMovingAverage with num_updates).
    """

    def __init__(self, task: nn.Module, decay: float) -> None:
        """Start from the weights as they are."""
        named = {name: p for name, p in task.named_parameters() if p.requires_grad}
        self._names, self._weights = list(named), [p.data for p in named.values()]
        self._decay = decay
        self._average = [weight.clone() for weight in self._weights]

    @torch.no_grad()
    def update(self, number: int) -> None:
        """Update the average after optimizer step `number`, counted from 1."""
        decay = min(self._decay, (1 + number) / (10 + number))
        torch._foreach_lerp_(self._average, self._weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Swap the average into the task; its own weights are restored bit for bit afterwards."""
        own = [weight.clone() for weight in self._weights]
        torch._foreach_copy_(self._weights, self._average)
        try:
            yield
        finally:
            torch._foreach_copy_(self._weights, own)

    def state(self) -> dict[str, Tensor]:
        """Return the average by parameter."""
        return dict(zip(self._names, self._average, strict=True))

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned."""
        torch._foreach_copy_(self._average, [state[name] for name in self._names])
