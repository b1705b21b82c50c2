"""Overfits a few pairs.

A network that can learn at all brings the loss of one fixed batch from 0.69 to nearly 0 within some
tens of steps (measured: docs/preflight.md).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.params.fit import FitParams
from trainers.data.pixel_range import to_signed
from trainers.loop.batches import moved
from trainers.loop.precision import autocast
from trainers.loop.task import Batch
from trainers.preflight.overfit import OverfitResult, OverfitTrial, overfit
from trainers.processes.world import World
from trainers.systems.stable_syncnet.losses import cosine, cosine_bce
from trainers.systems.stable_syncnet.task import SyncNetTask

STEPS = 100
"""At most; it ends as soon as the loss is under the target."""
TARGET_LOSS = 0.3
"""Of the published loss, where 0.693 is "knows nothing"."""
WINDOWS = 8
"""In the batch; 16 single pairs have as many pictures as 2 items of 8 windows."""


def overfit_pairs(
    new_task: Callable[[], SyncNetTask], batch: Batch, params: FitParams, device: torch.device
) -> OverfitResult:
    """Train a new task on the same batch until its published loss is under the target."""
    trial = OverfitTrial(
        new_task=new_task,
        loss=_loss,
        steps=STEPS,
        learnt=lambda losses: losses[-1] < TARGET_LOSS,
    )
    return overfit(trial, batch, batch["mel"].shape[:-3].numel(), params, device)


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
    cosine_B = cosine(*task.syncnet(to_signed(batch["visual"]), batch["mel"]))
    return cosine_bce(cosine_B, batch["in_sync"], clamp=True).mean()
