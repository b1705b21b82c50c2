"""A player of a task: its parameters, optimizer and scaler; DDP where there are several ranks.

Whose turn it is in a step is a function of the step alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import ParamsError
from pipeline.params.fit import FitParams
from trainers.loop.buffers import agree_on_buffers
from trainers.loop.precision import new_scaler
from trainers.loop.task import Batch, Task
from trainers.processes.world import World

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


class _Losses(nn.Module):
    """The losses of one player as a forward pass, which is what DDP can wrap.

    The forward pass of `Task.shared` belongs to that of the player that it trains.
    """

    def __init__(self, task: Task, player: str) -> None:
        super().__init__()
        self.task, self.player = task, player

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the terms and, detached, what the other players share of this pass."""
        if self.task.shared_player != self.player:
            return self.task.losses(batch, self.player), {}
        shared = self.task.shared(batch)
        terms = self.task.losses({**batch, "shared": shared}, self.player)
        return terms, {name: value.detach() for name, value in shared.items()}


@dataclass
class Player:
    """What one player needs for a step."""

    name: str
    networks: list[nn.Module]
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    scaler: GradScaler
    losses: nn.Module
    """batch -> weighted terms and what is shared; a DDP module where there are several ranks."""
    every: int = 1
    """N: updated in steps N, 2 N, ..., counted from 1."""
    skipped_steps: int = 0
    """fp16: consecutive steps skipped so far."""
    has_unused_parameters: bool = False
    """See Task."""

    def takes_turn(self, step: int) -> bool:
        """Return whether it is updated in the step after `step` updates."""
        return (step + 1) % self.every == 0

    def gradient_sync(self, last: bool) -> AbstractContextManager[None]:
        """Synchronize gradients between ranks only in the last backward pass of a step."""
        if isinstance(self.losses, DistributedDataParallel) and not last:
            return self.losses.no_sync()
        return nullcontext()

    def check_gradients(self) -> None:
        """Fail if a parameter got no gradient: replicas could diverge unnoticed."""
        missed = {id(p) for p in self.parameters if p.grad is None}
        if self.has_unused_parameters or not missed:
            return
        idle = [name for name, p in self.losses.named_parameters() if id(p) in missed]
        names = ", ".join(name.partition("task.")[2] for name in idle[:3])
        raise AssertionError(
            f"{self.name}: no loss reaches {names} ({len(idle)} in all); freeze them, or let the "
            "task say has_unused_parameters"
        )


def new_players(task: Task, params: FitParams, world: World) -> list[Player]:
    """Make the players of a task that lies on the world's device.

    Several ranks all get the weights and buffers of rank 0.

    Raises:
        ParamsError: `fit.players` names none of the task's, or lets all of them wait.
    """
    known_players(task, "fit.players", params.players)
    if min(params.every(name) for name in task.players) > 1:
        raise ParamsError("fit.players: every: all players wait in step 1; give one of them 1")
    owned = {name: task.parameters_of(name) for name in task.players}
    _check(task, owned)
    players = []
    for name, parameters in owned.items():
        with gradients_only_for(parameters, [p for other in owned.values() for p in other]):
            losses = _among(world, _Losses(task, name), task.has_unused_parameters)
        players.append(
            Player(
                name,
                task.networks_of(name),
                parameters,
                _new_optimizer(parameters, params.of_player(name)),
                new_scaler(params, world.device),
                losses,
                every=params.every(name),
                has_unused_parameters=task.has_unused_parameters,
            )
        )
    agree_on_buffers(networks_of(players), world)
    return players


def known_players(task: Task, key: str, names: Iterable[str]) -> None:
    """Check names in the params.

    Raises:
        ParamsError: one is no player of the task.
    """
    unknown = sorted(set(names) - set(task.players))
    if unknown:
        known = ", ".join(task.players)
        raise ParamsError(f"{key}: {unknown[0]}: no player of this task; known here: {known}")


def networks_of(players: Sequence[Player]) -> list[nn.Module]:
    """Return the networks of all players."""
    return [network for player in players for network in player.networks]


@contextmanager
def turn_of(player: Player, players: Sequence[Player]) -> Iterator[None]:
    """Let one player learn: the others are in eval mode and get no gradients."""
    everybody = [parameter for one in players for parameter in one.parameters]
    with gradients_only_for(player.parameters, everybody), _in_eval_mode(_waiting(player, players)):
        yield


def _waiting(player: Player, players: Sequence[Player]) -> list[nn.Module]:
    """Return the modules that are another player's, and not this one's as well."""
    others = networks_of([one for one in players if one is not player])
    if not others:
        return []
    mine = {id(module) for network in player.networks for module in network.modules()}
    return [one for network in others for one in network.modules() if id(one) not in mine]


@contextmanager
def _in_eval_mode(modules: Sequence[nn.Module]) -> Iterator[None]:
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


@contextmanager
def gradients_only_for(
    mine: Sequence[nn.Parameter], all_parameters: Sequence[nn.Parameter]
) -> Iterator[None]:
    """Freeze all other parameters, so that gradients are computed for one player only."""
    ids = {id(parameter) for parameter in mine}
    others = [parameter for parameter in all_parameters if id(parameter) not in ids]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


@contextmanager
def all_or_none(players: Sequence[Player]) -> Iterator[None]:
    """Undo the updates made in the block if it raises.

    An update that fails has changed nothing itself, so the last player's state is never copied: a
    single player costs nothing, two cost a copy of the first one's weights and moments per step.
    """
    undo = [_undo_of(player) for player in players[:-1]]
    try:
        yield
    except BaseException:
        for restore in undo:
            restore()
        raise


def _undo_of(player: Player) -> Callable[[], None]:
    weights = [parameter.detach().clone() for parameter in player.parameters]
    optimizer, scaler = deepcopy(player.optimizer.state_dict()), player.scaler.state_dict()
    skipped_steps = player.skipped_steps

    def restore() -> None:
        with torch.no_grad():
            for parameter, before in zip(player.parameters, weights, strict=True):
                parameter.copy_(before)
        player.optimizer.load_state_dict(optimizer)
        player.scaler.load_state_dict(scaler)
        player.skipped_steps = skipped_steps

    return restore


def _new_optimizer(parameters: list[nn.Parameter], params: FitParams) -> torch.optim.Optimizer:
    kind: type[torch.optim.AdamW | torch.optim.Adam] = OPTIMIZERS[params.optimizer]
    return kind(
        parameters,
        lr=params.learning_rate,
        betas=(params.beta1, params.beta2),
        weight_decay=params.weight_decay,
        fused=all(p.device.type in ("cpu", "cuda") for p in parameters),
    )


def _check(task: Task, owned: dict[str, list[nn.Parameter]]) -> None:
    ids = [id(parameter) for parameters in owned.values() for parameter in parameters]
    assert len(ids) == len(set(ids)), "a parameter belongs to one player"
    assert all(owned.values()), f"a player has nothing to train: {list(owned)}"
    trainable = {name: p for name, p in task.named_parameters() if p.requires_grad}
    strays = [name for name, p in trainable.items() if id(p) not in set(ids)]
    assert not strays, f"trainable, but no player's: {strays[:5]}; freeze them"
    shares = type(task).shared is not Task.shared
    assert shares == (task.shared_player in task.players), "shared needs a shared_player"


def _among(world: World, losses: nn.Module, has_unused_parameters: bool) -> nn.Module:
    if world.size == 1:
        return losses
    return DistributedDataParallel(
        losses,
        gradient_as_bucket_view=True,
        find_unused_parameters=has_unused_parameters,
        broadcast_buffers=False,  # see trainers/loop/buffers.py
    )
