"""What a run will take of a GPU's memory, as far as it is known before the first step.

Trained weights, their gradients, the optimizer's two moments and the moving average are float32; a
validation swaps the average in and keeps the weights meanwhile. Frozen networks count as they are
(cast to 16 bits where the run is). A micro-batch in flight counts twice: one computes while the
next is copied. Activations are not in it: they are measured in the first step, as its peak less the
rest.
"""

import logging
from collections.abc import Iterable

import torch

from pipeline.params.fit import FitParams
from trainers.loop.batches import bytes_per_item
from trainers.loop.task import Batch, Task
from trainers.processes.world import World

GIB = 2**30
MOMENTS = 2
IN_FLIGHT = 2

logger = logging.getLogger(__name__)


def memory_plan(task: Task, params: FitParams, batch: Batch) -> dict[str, int]:
    """Return the bytes of each part; the task is cast and on its device, the batch as read."""
    trained = [p for p in task.parameters() if p.requires_grad]
    weights = sum(p.nbytes for p in trained)
    averaged = params.ema_players or task.players
    at_once = min(params.micro_batch or len(batch["keys"]), len(batch["keys"]))
    return {
        "trained weights": weights,
        "frozen weights": sum(p.nbytes for p in task.parameters() if not p.requires_grad),
        "gradients": weights,
        "moments": MOMENTS * weights,
        "moving average": 0 if params.ema_decay is None else 2 * _bytes_of(task, averaged),
        "micro-batches in flight": round(IN_FLIGHT * at_once * bytes_per_item(batch)),
    }


def _bytes_of(task: Task, players: Iterable[str]) -> int:
    return sum(p.nbytes for name in players for p in task.parameters_of(name))


def log_plan(task: Task, params: FitParams, batch: Batch, world: World) -> int:
    """Log the plan and, of a GPU, what it leaves for activations; return the bytes it counts.

    Logs a warning where nothing is left: the run will stop at its first step or validation.
    """
    plan = memory_plan(task, params, batch)
    parts = ", ".join(f"{name} {size / GIB:.2f}" for name, size in plan.items() if size)
    total = sum(plan.values())
    logger.info("memory, GiB: %s; together %.2f, and activations", parts, total / GIB)
    if world.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(world.device)
        _log_room(total, torch.cuda.get_device_properties(world.device).total_memory)
    return total


def log_activations(planned: int, world: World) -> None:
    """Log the peak of the first step of a GPU, and what of it are activations.

    Args:
        planned: bytes that the plan counts.
    """
    if world.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(world.device)
        rest = peak - planned
        logger.info("first step: peak %.2f GiB, activations %.2f", peak / GIB, rest / GIB)


def _log_room(planned: int, total: int) -> None:
    if planned >= total:
        logger.warning("the GPU has %.2f GiB: too little for the plan alone", total / GIB)
    else:
        logger.info("of %.2f GiB this leaves %.2f", total / GIB, (total - planned) / GIB)
