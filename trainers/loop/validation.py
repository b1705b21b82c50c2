"""Validation metrics over a fixed set of batches, shared among the ranks."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pipeline.params.fit import FitParams
from trainers.loop.batches import BatchSource, micro_batches, prepared
from trainers.loop.precision import autocast
from trainers.loop.seeding import Purpose, item_seeds, seed_all
from trainers.loop.task import Batch, Task
from trainers.processes.world import World


@dataclass(frozen=True, slots=True)
class Validation:
    """Batches 0 to `batches` - 1 of the source: the same at every validation of a run."""

    source: BatchSource
    batches: int


@torch.no_grad()
def run_validation(
    task: Task, validation: Validation, params: FitParams, world: World, step: int = 0
) -> dict[str, float]:
    """Return each metric's mean over the items of the whole set; every rank must call it.

    The task is in eval mode, the random streams are those of (seed, batch).

    Args:
        step: updates made so far.
    """
    task.eval()
    sums: dict[str, float] = defaultdict(float)
    total = 0.0
    for number in range(validation.batches):
        batch = validation.source.batch_at(number, world.rank, world.size)
        if not batch["keys"]:  # a short batch may leave nothing for this rank
            continue
        batch = seed_batch(batch, params, number, world, validation=True)
        for part in micro_batches(batch, params.micro_batch):  # what fits the step fits here
            weight = task.weight_of(part)
            total += weight
            seen = prepared(part, world.device, step)
            for name, value in _metrics(task, seen, params, world).items():
                sums[name] += weight * value
    task.train()
    return _means(world.gathered((total, dict(sums))))


def seed_batch(
    batch: Batch, params: FitParams, number: int, world: World, validation: bool = False
) -> Batch:
    """Seed all streams for this batch and add a seed per item."""
    items = len(batch["keys"])
    seed_all(params.seed, "validation" if validation else "step", number, world.rank)
    purpose: Purpose = "validation_items" if validation else "items"
    seeds = item_seeds(params.seed, purpose, number, world.rank, world.size, items)
    return {**batch, "item_seeds": seeds}


def _metrics(task: Task, batch: Batch, params: FitParams, world: World) -> dict[str, float]:
    with autocast(params, world.device):
        metrics = task.validate(batch)
    names = list(metrics)
    values = torch.stack([metrics[name].double().to(world.device) for name in names]).tolist()
    return dict(zip(names, values, strict=True))


def _means(of_ranks: list[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    total = sum(weight for weight, _ in of_ranks)
    names = {name: None for _, sums in of_ranks for name in sums}
    return {name: sum(sums.get(name, 0.0) for _, sums in of_ranks) / total for name in names}
