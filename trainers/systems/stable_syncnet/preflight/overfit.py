"""Overfits a few pairs: a network that cannot do that with this optimizer will learn nothing.

A network that can learn at all brings the loss of one fixed batch from 0.69 to nearly 0 within some
tens of steps (measured: docs/preflight.md). Labels that do not fit, dead inputs and a learning rate
of the wrong size show here in a minute instead of in a week.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import NonFiniteLossError
from pipeline.params.fit import FitParams
from trainers.loop.batches import moved
from trainers.loop.players import new_players
from trainers.loop.precision import autocast
from trainers.loop.seeding import seed_all
from trainers.loop.step import train_step
from trainers.loop.task import Batch
from trainers.loop.validation import seed_batch
from trainers.processes.world import World
from trainers.systems.stable_syncnet.losses import cosine, cosine_bce
from trainers.systems.stable_syncnet.task import SyncNetTask

STEPS = 100
"""At most; it ends as soon as the loss is under the target."""
TARGET_LOSS = 0.3
"""Of the published loss, where 0.693 is "knows nothing"."""
WINDOWS = 8
"""In the batch; 16 single pairs have as many pictures as 2 items of 8 windows."""
DIGITS = 3


@dataclass(frozen=True, slots=True)
class OverfitResult:
    """How it went."""

    windows: int
    learning_rate: float
    losses: list[float]
    """Before the first step, and after each: the published loss, whatever the run minimises."""
    error: str = ""
    """Why it broke off."""

    @property
    def steps(self) -> int:
        """Steps made."""
        return max(0, len(self.losses) - 1)


def overfit(
    new_task: Callable[[], SyncNetTask], batch: Batch, params: FitParams, device: torch.device
) -> OverfitResult:
    """Train a new task on the same batch until its loss is under the target.

    Optimizer, losses and precision are the run's; the learning rate is the highest of the run, from
    the first step on. All random streams are as before afterwards.
    """
    params = params.model_copy(update={"schedule": "constant", "warmup_steps": 0})
    losses: list[float] = []
    error = ""
    with random_state_preserved(device):
        seed_all(params.seed, "weights")
        task = new_task().to(device).train()
        try:
            for loss in _losses(task, batch, params, World(device=device)):
                losses.append(round(loss, DIGITS))
        except NonFiniteLossError as caught:
            error = str(caught)
    windows = batch["mel"].shape[:-3].numel()
    return OverfitResult(windows, params.learning_rate, losses, error)


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


def _losses(task: SyncNetTask, batch: Batch, params: FitParams, world: World) -> Iterator[float]:
    players = new_players(task, params, world)
    yield (loss := _loss(task, batch, params, world))
    for step in range(STEPS):
        if loss < TARGET_LOSS:
            return
        train_step(task, players, seed_batch(batch, params, step, world), step, params, world)
        yield (loss := _loss(task, batch, params, world))


@torch.no_grad()
def _loss(task: SyncNetTask, batch: Batch, params: FitParams, world: World) -> float:
    task.eval()
    on_device = moved(batch, world.device)
    with autocast(params, world.device):
        loss = (
            task.validate(on_device)["loss"] if _is_matrix(batch) else _pair_loss(task, on_device)
        )
    task.train()
    return float(loss)


def _is_matrix(batch: Batch) -> bool:
    """Return whether its items are windows compared with each other, as in validation."""
    return bool(batch["in_sync"].ndim == 3)


def _pair_loss(task: SyncNetTask, batch: Batch) -> Tensor:
    cosine_B = cosine(*task.syncnet(batch["visual"], batch["mel"]))
    return cosine_bce(cosine_B, batch["in_sync"], clamp=True).mean()
