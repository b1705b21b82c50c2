"""The complete state of a run, to and from a checkpoint.

Not in it: the random streams, the data's position and the learning rate. They are pure functions
of the step (trainers/loop/seeding.py, batches.py, schedule.py).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pipeline.errors import CheckpointError
from pipeline.params.fit import FitParams
from trainers.loop import checkpoints
from trainers.loop.ema import Ema
from trainers.loop.metric_loggers import RunningMeans
from trainers.loop.micro_batch import MicroBatch
from trainers.loop.players import Player, known_players, new_players
from trainers.loop.precision import cast_frozen_networks
from trainers.loop.task import Task
from trainers.processes.world import World

Finished = Literal["", "max_steps", "early_stop"]


@dataclass
class TrainState:
    """A run between two steps."""

    task: Task
    players: list[Player]
    averages: dict[str, Ema] = field(default_factory=dict)
    """By player; empty without `ema_decay`."""
    step: int = 0
    finished: Finished = ""
    best_value: float | None = None
    best_step: int = 0
    stale_validations: int = 0
    """Consecutive validations without a better value."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the latest validation."""
    means: RunningMeans = field(default_factory=RunningMeans)
    micro_batch: MicroBatch = field(default_factory=lambda: MicroBatch(None))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Swap in the weights that are validated and saved: a player's average if it has one."""
        with ExitStack() as stack:
            for average in self.averages.values():
                stack.enter_context(average.applied())
            yield

    def update_averages(self) -> None:
        """Update the averages of the players that the step before `step` has updated."""
        for player in self.players:
            if player.name in self.averages and player.takes_turn(self.step - 1):
                self.averages[player.name].update(self.step // player.every)


def new_state(task: Task, params: FitParams, world: World) -> TrainState:
    """Return the state at step 0, with the task on the world's device."""
    task.to(world.device)
    cast_frozen_networks(task, params)
    task.train()
    players = new_players(task, params, world)
    averages = _new_averages(task, players, params)
    return TrainState(task, players, averages, micro_batch=MicroBatch(params.micro_batch))


def checkpoint_content(state: TrainState) -> dict[str, Any]:
    """Return what a checkpoint holds: tensors, numbers and text."""
    return {
        "task": state.task.saved_state(),
        "players": {player.name: _player_content(player) for player in state.players},
        "ema": {name: one for ema in state.averages.values() for name, one in ema.state().items()},
        "finished": state.finished,
        "best_value": state.best_value,
        "best_step": state.best_step,
        "stale_validations": state.stale_validations,
        "metrics": dict(state.metrics),
        "means": state.means.state(),
        "micro_batch": state.micro_batch.items,
    }


def restore(state: TrainState, folder: Path, world: World) -> None:
    """Put the latest checkpoint into a state made from the same task and params, if there is one.

    Raises:
        CheckpointError: it does not fit, or the ranks see different ones.
    """
    content = checkpoints.latest_state(folder)
    steps = world.gathered(content["step"] if content else 0)
    if len(set(steps)) > 1:
        raise CheckpointError(f"{folder}: ranks see steps {steps}; all must share this folder")
    if content is None:
        return
    try:
        _load_content(state, content)
    except (KeyError, ValueError, RuntimeError) as error:
        fix = f"it is of another model; delete {folder} to start anew"
        raise CheckpointError(f"step {content['step']} does not fit: {error}; {fix}") from error


def final_weights(state: TrainState) -> dict[str, Tensor]:
    """Return copies of the weights that are validated and saved."""
    with state.averaged():
        return {name: value.clone() for name, value in state.task.saved_state().items()}


def _new_averages(task: Task, players: list[Player], params: FitParams) -> dict[str, Ema]:
    decay, named = params.ema_decay, params.ema_players
    known_players(task, "fit.ema_players", named or ())
    if decay is None:
        return {}
    chosen = [player for player in players if named is None or player.name in named]
    return {player.name: Ema(task, player.parameters, decay) for player in chosen}


def _player_content(player: Player) -> dict[str, Any]:
    return {
        "optimizer": player.optimizer.state_dict(),
        "scaler": player.scaler.state_dict(),
        "skipped_steps": player.skipped_steps,
    }


def _load_content(state: TrainState, content: dict[str, Any]) -> None:
    state.task.load_saved_state(content["task"])
    for player in state.players:
        stored = content["players"][player.name]
        player.optimizer.load_state_dict(stored["optimizer"])
        player.scaler.load_state_dict(stored["scaler"])
        player.skipped_steps = stored["skipped_steps"]
    for average in state.averages.values():
        average.load(content["ema"])
    state.step, state.finished = content["step"], content["finished"]
    state.best_value, state.best_step = content["best_value"], content["best_step"]
    state.stale_validations = content["stale_validations"]
    state.metrics, state.means = content["metrics"], RunningMeans(content["means"])
    if state.finished:  # else it begins with that of the params: the memory may be another one
        state.micro_batch.items = content.get("micro_batch")
