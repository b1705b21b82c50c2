"""Micro-batches, players and weights of means."""

from copy import deepcopy

import pytest
import torch

from pipeline.errors import NonFiniteLossError
from tests.trainers.loop.toy_tasks import (
    SOURCE,
    Gan,
    OftenDeaf,
    Regression,
    made,
    same,
    weights,
    with_,
)
from trainers.loop import players as players_module
from trainers.loop.players import new_players
from trainers.loop.step import train_step
from trainers.loop.validation import seed_batch
from trainers.processes.world import World


def gradients_and_terms(task, **changes):
    params = with_(max_grad_norm=None, **changes)
    players = new_players(task, params, World())
    batch = seed_batch(SOURCE.batch_at(3, 0, 1), params, 3, World())
    terms = train_step(task, players, batch, 3, params, World())
    return torch.cat([p.grad.flatten() for p in players[0].parameters]), terms


class Masked(Regression):
    """Its mean runs over marked entries, a different number per item."""

    def losses(self, batch, player):
        marked = batch["x"] > 0
        error = self.generator(batch["x"]).square().mean(dim=1, keepdim=True) * marked
        return {"marked": error.sum() / marked.sum().clamp(min=1)}

    def weight_of(self, batch):
        return float((batch["x"] > 0).sum())


@pytest.mark.parametrize("kind", [Regression, Masked])
@pytest.mark.parametrize("items", [1, 5, 12, 100])
def test_a_batch_in_parts_gives_the_gradient_and_the_loss_of_the_whole(kind, items):
    options = {"noise": 0.5}
    whole, terms = gradients_and_terms(made(kind, **options))
    parts, part_terms = gradients_and_terms(made(kind, **options), micro_batch=items)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    assert part_terms == pytest.approx(terms, rel=1e-5)


def test_a_player_moves_only_its_own_weights_and_gets_no_gradient_elsewhere():
    task = made(Gan)
    players = new_players(task, with_(), World())
    before = weights(task)
    batch = seed_batch(SOURCE.batch_at(0, 0, 1), with_(), 0, World())
    train_step(task, players[:1], batch, 0, with_(), World())
    after = weights(task)
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"generator"}
    with torch.no_grad():
        task.discriminator[0].weight.add_(0)
    train_step(task, players, batch, 1, with_(), World())
    assert all(parameter.requires_grad for parameter in task.parameters())


def test_the_gradient_is_clipped_after_it_is_whole():
    task = made()
    params = with_(max_grad_norm=0.01, micro_batch=5)
    players = new_players(task, params, World())
    batch = seed_batch(SOURCE.batch_at(0, 0, 1), params, 0, World())
    terms = train_step(task, players, batch, 0, params, World())
    clipped = torch.cat([p.grad.flatten() for p in players[0].parameters]).norm().item()
    assert terms["generator/gradient_norm"] > 0.01
    assert clipped == pytest.approx(0.01, rel=1e-3)


def test_the_same_step_twice_gives_the_same_weights():
    one, two = made(dropout=0.5), made(dropout=0.5)
    gradients_and_terms(one)
    torch.rand(7)
    gradients_and_terms(two)
    assert same(weights(one), weights(two))


def test_a_parameter_that_no_loss_reaches_is_named_before_the_update():
    class Forgetful(OftenDeaf):
        has_unused_parameters = False

    task = made(Forgetful)
    before = weights(task)
    batch = seed_batch(SOURCE.batch_at(0, 0, 1), with_(), 0, World())
    batch["x"] = -batch["x"].abs()
    with pytest.raises(AssertionError, match=r"no loss reaches generator.ear.weight, .*2 in all"):
        train_step(task, new_players(task, with_(), World()), batch, 0, with_(), World())
    assert same(weights(task), before)


class BrokenCritic(Gan):
    """The second player's loss is no number in steps that say so."""

    broken = False

    def losses(self, batch, player):
        terms = super().losses(batch, player)
        if self.broken and player == "discriminator":
            terms["made"] = terms["made"] * float("nan")
        return terms


@pytest.mark.parametrize("steps_before", [0, 2])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_second_player_without_a_finite_loss_leaves_the_first_one_as_it_was(
    steps_before, precision
):
    task, params = made(BrokenCritic), with_(precision=precision, max_skipped_steps=1)
    players = new_players(task, params, World())

    def one_step(step):
        batch = seed_batch(SOURCE.batch_at(step, 0, 1), params, step, World())
        train_step(task, players, batch, step, params, World())

    for step in range(steps_before):
        one_step(step)
    before = weights(task)
    kept = [deepcopy(player.optimizer.state_dict()) for player in players]
    scale = [player.scaler.state_dict() for player in players]
    task.broken = True
    with pytest.raises(NonFiniteLossError, match=r"discriminator.*weights are those before"):
        one_step(steps_before)
    assert same(weights(task), before)
    for player, state in zip(players, kept, strict=True):
        now = player.optimizer.state_dict()["state"]
        assert now.keys() == state["state"].keys()
        for number, moments in state["state"].items():
            assert same(now[number], moments)
    assert [player.scaler.state_dict() for player in players] == scale


def test_a_single_player_is_not_copied(monkeypatch):
    monkeypatch.setattr(players_module, "_undo_of", lambda player: pytest.fail("copied"))
    gradients_and_terms(made())
