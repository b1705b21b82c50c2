"""Overfits one batch: a network that cannot do that with this optimizer will learn nothing.

Labels that do not fit, dead inputs and a learning rate of the wrong size show here in a minute
instead of in a week.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from pipeline.errors import NonFiniteLossError
from pipeline.params.fit import FitParams
from trainers.loop.players import new_players
from trainers.loop.seeding import seed_all
from trainers.loop.step import train_step
from trainers.loop.task import Batch, Task
from trainers.loop.validation import seed_batch
from trainers.processes.world import World

DIGITS = 3

OneTask = TypeVar("OneTask", bound=Task)


@dataclass(frozen=True, slots=True)
class OverfitResult:
    """How it went."""

    windows: int
    learning_rate: float
    losses: list[float]
    """Before the first step, and after each."""
    error: str = ""
    """Why it broke off."""

    @property
    def steps(self) -> int:
        """Steps made."""
        return max(0, len(self.losses) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverfitTrial(Generic[OneTask]):
    """What is tried."""

    new_task: Callable[[], OneTask]
    loss: Callable[[OneTask, Batch, FitParams, World], float]
    """What is watched; it may be another number than the one the run minimises."""
    steps: int
    """At most."""
    learnt: Callable[[list[float]], bool]
    """Whether these losses, the latest last, are enough."""
    same_draws: bool = False
    """Whether every step draws the same noise."""


def overfit(
    trial: OverfitTrial[OneTask],
    batch: Batch,
    windows: int,
    params: FitParams,
    device: torch.device,
) -> OverfitResult:
    """Train a new task on the same batch until it has learnt it.

    Optimizer, losses and precision are the run's; the learning rate is the highest of the run, from
    the first step on. All random streams are as before afterwards.
    """
    params = params.model_copy(update={"schedule": "constant", "warmup_steps": 0})
    losses: list[float] = []
    error = ""
    with random_state_preserved(device):
        seed_all(params.seed, "weights")
        task = trial.new_task().to(device).train()
        try:
            for loss in _losses(trial, task, batch, params, World(device=device)):
                losses.append(round(loss, DIGITS))
        except NonFiniteLossError as caught:
            error = str(caught)
    return OverfitResult(windows, params.learning_rate, losses, error)


def _losses(
    trial: OverfitTrial[OneTask], task: OneTask, batch: Batch, params: FitParams, world: World
) -> Iterator[float]:
    players, seen = new_players(task, params, world), list[float]()
    for step in range(trial.steps + 1):
        if step:
            seeded = seed_batch(batch, params, 0 if trial.same_draws else step - 1, world)
            train_step(task, players, seeded, step - 1, params, world)
        seen.append(trial.loss(task, batch, params, world))
        yield seen[-1]
        if trial.learnt(seen):
            return


@contextmanager
def random_state_preserved(device: torch.device) -> Iterator[None]:
    """Give python's, numpy's and torch's global streams back as they were."""
    python, numbers = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
