"""Exponential moving average of the trained weights."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """After update n (from 1): average = d * average + (1 - d) * weights.

    d = min(decay, (1 + n) / (10 + n)): a smaller decay in the first updates, so that the random
    initialization is forgotten (as TensorFlow's ExponentialMovingAverage with num_updates).

    Weights alone are averaged: buffers (statistics of batch norm) stay those of the latest step.
    """

    def __init__(self, task: nn.Module, parameters: Iterable[nn.Parameter], decay: float) -> None:
        """Start from the weights of the task's parameters as they are."""
        ids = {id(parameter) for parameter in parameters}
        named = {name: p for name, p in task.named_parameters() if id(p) in ids}
        self._names, self._weights = list(named), [p.data for p in named.values()]
        self._decay = decay
        self._average = [weight.clone() for weight in self._weights]

    @torch.no_grad()
    def update(self, number: int) -> None:
        """Update the average after update `number` of the weights, counted from 1."""
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
        """Load what `state` returned; other names are passed by."""
        torch._foreach_copy_(self._average, [state[name] for name in self._names])
