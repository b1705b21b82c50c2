"""A player of a task: its parameters, optimizer and scaler; DDP where there are several ranks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel

from pipeline.params.fit import FitParams
from trainers.loop.precision import new_scaler
from trainers.loop.task import Batch, Task
from trainers.processes.world import World


class _Losses(nn.Module):
    """The losses of one player as a forward pass, which is what DDP can wrap."""

    def __init__(self, task: Task, player: str) -> None:
        super().__init__()
        self.task, self.player = task, player

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.task.losses(batch, self.player)


@dataclass
class Player:
    """What one player needs for a step."""

    name: str
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    scaler: GradScaler
    losses: nn.Module
    """batch -> weighted terms; a DDP module where there are several ranks."""
    skipped_steps: int = 0
    """fp16: consecutive steps skipped so far."""
    has_unused_parameters: bool = False
    """See Task."""

    def gradient_sync(self, last: bool) -> AbstractContextManager[None]:
        """Synchronize gradients between ranks only in the last backward pass of a step."""
        if isinstance(self.losses, DistributedDataParallel) and not last:
            return self.losses.no_sync()
        return nullcontext()

    def check_gradients(self) -> None:
        """Fail if a parameter got no gradient: replicas could diverge unnoticed."""
        if self.has_unused_parameters or all(p.grad is not None for p in self.parameters):
            return
        named = self.losses.named_parameters()
        idle = [name for name, p in named if p.requires_grad and p.grad is None]
        names = ", ".join(name.partition("task.")[2] for name in idle[:3])
        raise AssertionError(
            f"{self.name}: no loss reaches {names} ({len(idle)} in all); freeze them, or let the "
            "task say has_unused_parameters"
        )


def new_players(task: Task, params: FitParams, world: World) -> list[Player]:
    """Make the players of a task that lies on the world's device.

    Several ranks all get the weights of rank 0.
    """
    owned = {name: task.parameters_of(name) for name in task.players}
    _check(task, owned)
    players = []
    for name, parameters in owned.items():
        with gradients_only_for(parameters, [p for other in owned.values() for p in other]):
            losses = _among(world, _Losses(task, name), task.has_unused_parameters)
        optimizer = torch.optim.AdamW(
            parameters,
            lr=params.learning_rate,
            betas=(params.beta1, params.beta2),
            weight_decay=params.weight_decay,
            fused=all(p.device.type in ("cpu", "cuda") for p in parameters),
        )
        scaler = new_scaler(params, world.device)
        players.append(
            Player(
                name,
                parameters,
                optimizer,
                scaler,
                losses,
                has_unused_parameters=task.has_unused_parameters,
            )
        )
    return players


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


def _check(task: Task, owned: dict[str, list[nn.Parameter]]) -> None:
    ids = [id(parameter) for parameters in owned.values() for parameter in parameters]
    assert len(ids) == len(set(ids)), "a parameter belongs to one player"
    assert all(owned.values()), f"a player has nothing to train: {list(owned)}"
    trainable = {name: p for name, p in task.named_parameters() if p.requires_grad}
    strays = [name for name, p in trainable.items() if id(p) not in set(ids)]
    assert not strays, f"trainable, but no player's: {strays[:5]}; freeze them"


def _among(world: World, losses: nn.Module, has_unused_parameters: bool) -> nn.Module:
    if world.size == 1:
        return losses
    return DistributedDataParallel(
        losses, gradient_as_bucket_view=True, find_unused_parameters=has_unused_parameters
    )
