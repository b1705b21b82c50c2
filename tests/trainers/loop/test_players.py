"""What a player has of its own: optimizer, rate, betas, decay, clipping, ratio, average."""

import json

import pytest
import torch
from torch import nn

from pipeline.errors import ParamsError
from pipeline.params.fit import FitParams, PlayerParams
from tests.trainers.loop.toy_tasks import (
    HELD_OUT,
    SOURCE,
    Gan,
    NormedGan,
    Regression,
    made,
    same,
    weights,
    with_,
)
from trainers.loop.fit import fit
from trainers.loop.players import new_players
from trainers.loop.run_identity import LATER, identity
from trainers.loop.task import Task
from trainers.processes.world import World

OWN = {
    "optimizer": "adam",
    "learning_rate": 3e-3,
    "beta1": 0.5,
    "beta2": 0.9,
    "weight_decay": 0.2,
    "max_grad_norm": 0.1,
}


class Pair(Task):
    """Two players that have nothing to do with each other."""

    players = ("left", "right")

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 2)

    def losses(self, batch, player):
        return {"square": (self.get_submodule(player)(batch["x"]) - 1).square().mean()}

    def validate(self, batch):
        return self.losses(batch, "left")


class Right(Pair):
    players = ("right",)

    def __init__(self):
        super().__init__()
        self.left.requires_grad_(False)


@pytest.mark.parametrize("key", [None, *OWN])
def test_a_player_learns_as_it_would_alone_with_its_own_values_for_all(tmp_path, key):
    own = {key: OWN[key]} if key else OWN
    both, alone, plain = made(Pair), made(Right), made(Pair)
    shape = {"schedule": "cosine", "final_learning_rate_share": 0.1}
    fit(both, SOURCE, with_(players={"right": own}, **shape), tmp_path / "both")
    fit(alone, SOURCE, with_(**own, **shape), tmp_path / "alone")
    fit(plain, SOURCE, with_(**shape), tmp_path / "plain")
    assert same(weights(both.right), weights(alone.right))
    assert same(weights(both.left), weights(plain.left))
    assert not same(weights(both.right), weights(plain.right))


def test_its_rate_is_logged_beside_that_of_all(tmp_path):
    params = with_(log_every=1, players={"right": {"learning_rate": 3e-3}})
    fit(made(Pair), SOURCE, params, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["train/right/learning_rate"] for row in rows] == [1.5e-3] + [3e-3] * 7
    assert [row["train/learning_rate"] for row in rows] == [5e-3] + [1e-2] * 7


def test_every_n_th_step_is_counted_from_one():
    players = new_players(made(Pair), with_(players={"right": {"every": 3}}), World())
    turns = [[player.name for player in players if player.takes_turn(step)] for step in range(6)]
    assert turns == [["left"], ["left"], ["left", "right"]] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"players": {"critic": {"every": 2}}},
            r"fit\.players: critic: no player .*known here: generator, discriminator",
        ),
        (
            {"ema_decay": 0.9, "ema_players": ["critic"]},
            r"fit\.ema_players: critic: no player .*known here: generator, discriminator",
        ),
        (
            {"players": {"generator": {"every": 2}, "discriminator": {"every": 3}}},
            r"fit\.players: every: all players wait in step 1",
        ),
    ],
)
def test_what_cannot_be_is_said_before_the_first_step(tmp_path, changes, message):
    with pytest.raises(ParamsError, match=message):
        fit(made(Gan), SOURCE, with_(**changes), tmp_path)


def test_an_average_of_chosen_players_needs_a_decay():
    with pytest.raises(ValueError, match="ema_players needs ema_decay"):
        FitParams(ema_players=["generator"])


def test_only_chosen_players_are_averaged_over_their_own_updates(tmp_path):
    ratio = {"generator": {"every": 2}}
    path = []
    for steps in (0, 2, 4):
        task = made(NormedGan)
        if steps:
            changes = {"max_steps": steps, "warmup_steps": 0, "players": ratio}
            fit(task, SOURCE, with_(**changes), tmp_path / str(steps))
        path.append(weights(task))
    averaged = made(NormedGan)
    params = with_(
        max_steps=4, warmup_steps=0, players=ratio, ema_decay=0.3, ema_players=["generator"]
    )
    fit(averaged, SOURCE, params, tmp_path / "ema", HELD_OUT)
    expected, live = path[0], path[-1]
    for number, now in enumerate(path[1:], 1):
        decay = min(0.3, (1 + number) / (10 + number))
        expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in now}
    trained = {name for name, _ in averaged.generator.named_parameters(prefix="generator")}
    for name, value in weights(averaged).items():
        if name in trained:
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6)
            assert not torch.equal(value, live[name])
        else:  # the discriminator, and all buffers
            assert torch.equal(value, live[name])
    stored = torch.load(tmp_path / "ema" / "step-00000004.pt", weights_only=True)
    assert set(stored["ema"]) == trained


def test_keys_that_came_later_leave_the_identity_of_older_runs_as_it_was():
    assert not set(LATER) & set(identity({}, FitParams())["fit"])
    own = FitParams(players={"generator": PlayerParams(every=2)})
    assert identity({}, own)["fit"]["players"]["generator"]["every"] == 2
    assert identity({}, FitParams(optimizer="adam"))["fit"]["optimizer"] == "adam"


def test_a_task_without_players_of_its_own_is_as_before(tmp_path):
    one, two = made(Regression), made(Regression)
    fit(one, SOURCE, with_(), tmp_path / "one")
    fit(two, SOURCE, with_(players={"generator": {}}, optimizer="adamw"), tmp_path / "two")
    assert same(weights(one), weights(two))
