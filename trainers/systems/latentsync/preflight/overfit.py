"""Overfits the run's first batch, with the same noise and timesteps in every step."""

from functools import partial

import torch

from pipeline.params.fit import FitParams
from pipeline.params.training import LdmProfile
from trainers.data.index import ShardIndex
from trainers.data.window_items import Prepare
from trainers.loop.batches import moved
from trainers.loop.precision import autocast
from trainers.loop.step import weighted_micro_batches
from trainers.loop.task import Batch
from trainers.loop.validation import seed_batch
from trainers.preflight.overfit import OverfitResult, OverfitTrial, overfit, random_state_preserved
from trainers.processes.world import World
from trainers.systems.latentsync.preflight.checks import LEARNT
from trainers.systems.latentsync.task import LatentDiffusion
from trainers.systems.latentsync.training import new_task, training_source


def overfit_windows(
    profile: LdmProfile, index: ShardIndex, prepare: Prepare, steps: int, device: torch.device
) -> OverfitResult:
    """Train a new task on the first batch until its loss is half of what it was.

    Raises:
        TrainingDataError: too many samples are broken.
        ParamsError, WeightsError: a network cannot be loaded.
    """
    with random_state_preserved(device):
        batch = training_source(profile, index, prepare).batch_at(0, 0, 1)
    trial = OverfitTrial(
        new_task=partial(new_task, profile),
        loss=_loss,
        steps=steps,
        learnt=lambda losses: losses[-1] <= LEARNT * losses[0],
        same_draws=True,
    )
    return overfit(trial, batch, len(batch["keys"]), profile.fit, device)


@torch.no_grad()
def _loss(task: LatentDiffusion, batch: Batch, params: FitParams, world: World) -> float:
    """Return the loss of the batch, in micro-batches as in a step."""
    seeded = seed_batch(batch, params, 0, world)
    parts = weighted_micro_batches(task, seeded, params, world)
    losses = []
    for part, share in zip(parts.batches, parts.shares, strict=True):
        with autocast(params, world.device):
            terms = task.losses(moved(part, world.device), "unet")
        losses.append(share * torch.stack([term.float() for term in terms.values()]).sum())
    return float(torch.stack(losses).sum())
