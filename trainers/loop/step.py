"""One update of every player whose turn it is: accumulate, check, clip, step. All, or none.

A batch cut into micro-batches and ranks gives the gradient of the whole: every term is a mean over
items, so each part counts by its share of the items. (Networks that mix the items of a batch, as
batch norm does, are the exception.)

Players of a task with a `shared_player` are updated together: micro-batch by micro-batch one
forward pass of that player, its gradient, then those of the others from the same outputs; when all
gradients are whole and finite, all optimizers step. So the graph of one micro-batch is all that is
kept, and no player sees the new weights of another before the next step. Without a `shared_player`
one player after the other sends the whole batch through its networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pipeline.errors import NonFiniteLossError, ParamsError
from pipeline.params.fit import FitParams
from trainers.loop.batches import micro_batches, prepared
from trainers.loop.buffers import agree_on_buffers, buffers_kept_on_error
from trainers.loop.players import Player, all_or_none, networks_of, turn_of
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


@dataclass(frozen=True)
class _Step:
    """What is the same for all players of a step."""

    task: Task
    players: Sequence[Player]
    """All of them, also those that wait."""
    parts: WeightedMicroBatches
    number: int
    params: FitParams
    world: World

    @property
    def turn(self) -> list[Player]:
        """The players that are updated."""
        return [player for player in self.players if player.takes_turn(self.number)]


@dataclass
class _Terms:
    """The terms of one player: names, and values by micro-batch."""

    names: list[str] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)

    def add(self, terms: dict[str, Tensor]) -> Tensor:
        """Add those of a micro-batch; return them (T,), with their graph."""
        assert self.names in ([], list(terms)), "a task's terms have the same names in every batch"
        self.names = list(terms)
        row_T = torch.stack([term.float() for term in terms.values()])
        self.rows.append(row_T.detach())
        return row_T


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
    """Update every player whose turn it is once; return each term's mean over the whole batch.

    Args:
        batch: this rank's share, on any device.
        step: updates made before this one.

    Raises:
        NonFiniteLossError: on all ranks; no player's weights, buffers or optimizer have changed.
    """
    parts = weighted_micro_batches(task, batch, params, world)
    this = _Step(task, players, parts, step, params, world)
    rates = {one.name: learning_rate(step, params.of_player(one.name)) for one in this.turn}
    for player in this.turn:
        set_learning_rate(player.optimizer, rates[player.name])
    with buffers_kept_on_error(networks_of(players)):
        logged = _update_together(this) if task.shared_player else _update_in_turn(this)
    agree_on_buffers(networks_of(players), world)
    common = learning_rate(step, params)
    own = {f"{name}/learning_rate": rate for name, rate in rates.items() if rate != common}
    return {"learning_rate": common, **own, **logged}


def _update_in_turn(step: _Step) -> dict[str, float]:
    """Update one player after the other: the later ones see the new weights of the earlier."""
    logged: dict[str, float] = {}
    with all_or_none(step.turn):
        for player in step.turn:
            player.optimizer.zero_grad(set_to_none=True)
            terms = _Terms()
            for place in range(len(step.parts.batches)):
                _add_gradient(player, step, place, _batch(step, place), terms)
            logged |= _checked(player, step, terms)
            _step_optimizer(player)
    return logged


def _update_together(step: _Step) -> dict[str, float]:
    """Update all players from gradients of the same weights and one shared forward pass."""
    terms = {player.name: _Terms() for player in step.turn}
    for player in step.turn:
        player.optimizer.zero_grad(set_to_none=True)
    for place in range(len(step.parts.batches)):
        _add_gradients(step, place, terms)
    logged: dict[str, float] = {}
    for player in step.turn:
        logged |= _checked(player, step, terms[player.name])
    for player in step.turn:  # nothing is left that could fail for a batch
        _step_optimizer(player)
    return logged


def _add_gradients(step: _Step, place: int, terms: dict[str, _Terms]) -> None:
    """Add one micro-batch's gradient to every player: first the shared one, then the others."""
    batch = _batch(step, place)
    (maker,) = [one for one in step.players if one.name == step.task.shared_player]
    if maker.name in terms:
        shared = _add_gradient(maker, step, place, batch, terms[maker.name])
    else:
        with (
            torch.no_grad(),
            turn_of(maker, step.players),
            autocast(step.params, step.world.device),
        ):
            shared = step.task.shared(batch)
    for player in step.turn:
        if player is not maker:
            _add_gradient(player, step, place, {**batch, "shared": shared}, terms[player.name])


def _add_gradient(
    player: Player, step: _Step, place: int, batch: Batch, terms: _Terms
) -> dict[str, Tensor]:
    """Add one micro-batch's gradient to a player; return what its forward pass shares."""
    shared: dict[str, Tensor]
    world, last = step.world, place + 1 == len(step.parts.batches)
    with turn_of(player, step.players), player.gradient_sync(last):
        with autocast(step.params, world.device):
            losses, shared = player.losses(batch)
        # DDP divides the sum over ranks by their number; the shares have done so already.
        weight = step.parts.shares[place] * world.size
        loss = player.scaler.scale(terms.add(losses).sum() * weight)
        torch.autograd.backward(loss)
    return shared


def _checked(player: Player, step: _Step, terms: _Terms) -> dict[str, float]:
    """Clip the gradient; return each term's mean over the whole batch and the gradient's norm.

    Raises:
        NonFiniteLossError: one of them is no finite number.
    """
    player.check_gradients()
    player.scaler.unscale_(player.optimizer)
    limit = step.params.of_player(player.name).max_grad_norm or float("inf")
    norm = clip_grad_norm_(player.parameters, limit)
    values_MT = torch.stack(terms.rows)
    shares = torch.tensor(step.parts.shares, device=values_MT.device)
    means = step.world.summed(shares @ values_MT)
    *values, length = torch.cat([means, norm.reshape(1).float()]).tolist()
    named = dict(zip(terms.names, values, strict=True))
    _count_skipped(player, _is_finite(length))
    if not all(map(_is_finite, values)) or player.skipped_steps > _allowed_skips(step.params):
        keys = _non_finite_keys(step.parts, values_MT, step.world)
        raise _non_finite(
            f"step {step.number}, {player.name}: {named}, gradient norm {length}", keys
        )
    logged = {**named, "gradient_norm": length}
    return {f"{player.name}/{name}": value for name, value in logged.items()}


def _batch(step: _Step, place: int) -> Batch:
    return prepared(step.parts.batches[place], step.world.device, step.number)


def _step_optimizer(player: Player) -> None:
    try:
        player.scaler.step(player.optimizer)
    except torch.OutOfMemoryError as error:
        fix = "no micro-batch is small enough; take a GPU with more memory"
        raise ParamsError(f"{player.name}: no memory for the optimizer's moments; {fix}") from error
    player.scaler.update()


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
