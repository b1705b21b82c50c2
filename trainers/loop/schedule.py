"""The learning rate as a pure function of the step: a resume has no state to restore."""

import math

from torch.optim import Optimizer

from pipeline.params.fit import FitParams


def learning_rate(step: int, params: FitParams) -> float:
    """Return the rate of the update that leads from `step` to `step` + 1.

    Linear from learning_rate / warmup_steps, then constant, or half a cosine down to
    `final_learning_rate_share` at `max_steps` (Loshchilov & Hutter, SGDR, 2017, without restarts).
    """
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    if params.schedule == "constant":
        return params.learning_rate
    length = max(params.max_steps - params.warmup_steps, 1)
    done = min((step - params.warmup_steps) / length, 1.0)
    low = params.final_learning_rate_share
    return params.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * done)) / 2)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Put the rate into every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
