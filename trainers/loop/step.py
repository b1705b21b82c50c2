"""One update of every player: accumulate, check, clip, step. All of them are updated, or none.

A batch cut into micro-batches and ranks gives the gradient of the whole: every term is a mean over
items, so each part counts by its share of the items. (Networks that mix the items of a batch, as
batch norm does, are the exception.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pipeline.errors import NonFiniteLossError, ParamsError
from pipeline.params.fit import FitParams
from trainers.loop.batches import micro_batches, moved
from trainers.loop.players import Player, all_or_none, gradients_only_for
from trainers.loop.precision import autocast
from trainers.loop.schedule import learning_rate, set_learning_rate
from trainers.loop.task import Batch, Task
from trainers.processes.world import World

KEYS_NAMED = 32
"""Maximum number of keys in an error message."""


@dataclass(frozen=True)
class WeightedMicroBatches:
    """This rank's share of a batch, in micro-batches."""

    batches: list[Batch]
    shares: list[float]
    """Weight of each in the global batch; sums to 1 over all ranks."""


def weighted_micro_batches(
    task: Task, batch: Batch, params: FitParams, world: World
) -> WeightedMicroBatches:
    """Split this rank's share of a batch; every rank must call it."""
    batches = micro_batches(batch, params.micro_batch)
    weights = [task.weight_of(part) for part in batches]
    local = torch.tensor(sum(weights), dtype=torch.float64, device=world.device)
    total = float(world.summed(local).item())
    return WeightedMicroBatches(batches, [weight / total for weight in weights])


def train_step(
    task: Task, players: Sequence[Player], batch: Batch, step: int, params: FitParams, world: World
) -> dict[str, float]:
    """Update every player once and return each term's mean over the whole batch.

    Args:
        batch: this rank's share, on any device.
        step: updates made before this one.

    Raises:
        NonFiniteLossError: on all ranks; no player's weights or optimizer have changed.
    """
    rate = learning_rate(step, params)
    parts = weighted_micro_batches(task, batch, params, world)
    all_parameters = [parameter for player in players for parameter in player.parameters]
    logged = {"learning_rate": rate}
    with all_or_none(players):
        for player in players:
            set_learning_rate(player.optimizer, rate)
            with gradients_only_for(player.parameters, all_parameters):
                terms = _update(player, parts, step, params, world)
            logged |= {f"{player.name}/{name}": value for name, value in terms.items()}
    return logged


def _update(
    player: Player, parts: WeightedMicroBatches, step: int, params: FitParams, world: World
) -> dict[str, float]:
    names, values_MT = _accumulate(player, parts, params, world)
    player.scaler.unscale_(player.optimizer)
    limit = params.max_grad_norm or float("inf")
    norm = clip_grad_norm_(player.parameters, limit)
    shares = torch.tensor(parts.shares, device=values_MT.device)
    means = world.summed(shares @ values_MT)
    *terms, length = torch.cat([means, norm.reshape(1).float()]).tolist()
    finite = all(map(_is_finite, terms))
    _count_skipped(player, _is_finite(length))
    if not finite or player.skipped_steps > _allowed_skips(params):
        keys = _non_finite_keys(parts, values_MT, world)
        values = dict(zip(names, terms, strict=True))
        raise _non_finite(f"step {step}, {player.name}: {values}, gradient norm {length}", keys)
    _step_optimizer(player)
    player.scaler.update()
    return {**dict(zip(names, terms, strict=True)), "gradient_norm": length}


def _accumulate(
    player: Player, parts: WeightedMicroBatches, params: FitParams, world: World
) -> tuple[list[str], Tensor]:
    """Run all micro-batches; return the terms' names and values (micro-batches, terms)."""
    player.optimizer.zero_grad(set_to_none=True)
    names: list[str] = []
    rows = []
    for number, (batch, share) in enumerate(zip(parts.batches, parts.shares, strict=True), 1):
        with player.gradient_sync(last=number == len(parts.batches)):
            with autocast(params, world.device):
                terms = player.losses(moved(batch, world.device))
            assert names in ([], list(terms)), "a task's terms have the same names in every batch"
            names = list(terms)
            row = torch.stack([term.float() for term in terms.values()])
            # DDP divides the sum over ranks by their number; the shares have done so already.
            loss = player.scaler.scale(row.sum() * share * world.size)
            torch.autograd.backward(loss)
        rows.append(row.detach())
    player.check_gradients()
    return names, torch.stack(rows)


def _step_optimizer(player: Player) -> None:
    try:
        player.scaler.step(player.optimizer)
    except torch.OutOfMemoryError as error:
        fix = "no micro-batch is small enough; take a GPU with more memory"
        raise ParamsError(f"{player.name}: no memory for the optimizer's moments; {fix}") from error


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")  # NaN compares as False


def _count_skipped(player: Player, finite: bool) -> None:
    player.skipped_steps = 0 if finite else player.skipped_steps + 1


def _allowed_skips(params: FitParams) -> int:
    """Occasional gradient overflow is normal in fp16: the scaler skips that step."""
    return params.max_skipped_steps if params.precision == "fp16" else 0


def _non_finite_keys(parts: WeightedMicroBatches, values_MT: Tensor, world: World) -> list[str]:
    """Return the keys of the micro-batches with non-finite losses; all keys if there is none."""
    good = values_MT.isfinite().all(dim=1).tolist()
    pairs = list(zip(parts.batches, good, strict=True))
    mine = [(key, is_good) for batch, is_good in pairs for key in batch["keys"]]
    found = [pair for some in world.gathered(mine) for pair in some]
    return [key for key, is_good in found if not is_good] or [key for key, _ in found]


def _non_finite(what: str, keys: list[str]) -> NonFiniteLossError:
    more = f" and {len(keys) - KEYS_NAMED} more" if len(keys) > KEYS_NAMED else ""
    return NonFiniteLossError(
        f"{what}; items: {', '.join(keys[:KEYS_NAMED])}{more}. The weights are those before the "
        f"step. Look at these items; if they are sound, lower learning_rate or use bf16 or fp32"
    )
