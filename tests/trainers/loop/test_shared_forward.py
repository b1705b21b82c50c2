"""One forward pass of the generator for all players of a step; eval mode for those that wait."""

import weakref

import pytest
import torch

from pipeline.errors import NonFiniteLossError
from tests.trainers.loop.test_fit import broken_off
from tests.trainers.loop.toy_tasks import (
    HELD_OUT,
    SOURCE,
    Gan,
    NormedGan,
    SharedGan,
    made,
    same,
    weights,
    with_,
)
from trainers.loop.fit import fit
from trainers.loop.players import new_players
from trainers.loop.step import train_step
from trainers.loop.validation import seed_batch
from trainers.processes.world import World


def stepped(task, params, steps=1, players=None):
    """Make the first steps; return the players."""
    players = players or new_players(task, params, World())
    for step in range(steps):
        batch = seed_batch(SOURCE.batch_at(step, 0, 1), params, step, World())
        train_step(task, players, batch, step, params, World())
    return players


def every(**numbers):
    return {"players": {name: {"every": number} for name, number in numbers.items()}}


def buffers(task, player):
    return {name: value.clone() for name, value in task.get_submodule(player).named_buffers()}


def batches_seen(task, player):
    named = buffers(task, player).items()
    (number,) = {int(value) for name, value in named if name.endswith("num_batches_tracked")}
    return number


def test_the_generator_runs_once_per_micro_batch_and_step():
    task, modes = made(NormedGan), []
    task.generator.register_forward_hook(lambda *given: modes.append(task.generator.training))
    stepped(task, with_(), steps=3)
    assert modes == [True] * 3
    stepped(task, with_(micro_batch=5, **every(generator=2)), steps=2)
    assert modes == [True] * 9


def test_all_players_are_updated_from_the_same_weights():
    params = with_(max_grad_norm=None)
    both = made(NormedGan)
    for player in stepped(both, params):
        alone = made(NormedGan)
        batch = seed_batch(SOURCE.batch_at(0, 0, 1), params, 0, World())
        shared = alone.shared(batch)
        for name in set(task_players := NormedGan.players) - {player.name}:
            alone.get_submodule(name).eval()
        if player.name != "generator":
            shared = {name: value.detach() for name, value in shared.items()}
        assert player.name in task_players
        terms = alone.losses({**batch, "shared": shared, "step": 0}, player.name)
        sum(terms.values()).backward()
        for one, other in zip(player.parameters, alone.parameters_of(player.name), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("items", [1, 5])
def test_micro_batches_give_the_weights_of_the_whole_batch(items):
    whole, parts = made(SharedGan), made(SharedGan)
    stepped(whole, with_(), steps=4)
    stepped(parts, with_(micro_batch=items), steps=4)
    for name, value in weights(whole).items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=0, atol=1e-5)


def test_the_graph_of_no_more_than_one_micro_batch_is_kept():
    class Watched(SharedGan):
        def shared(self, batch):
            assert all(one() is None for one in self.outputs)
            made_now = self.generator(batch["x"])
            self.outputs.append(weakref.ref(made_now))
            return {"made": made_now}

    task = made(Watched)
    task.outputs = []
    stepped(task, with_(micro_batch=3))
    assert len(task.outputs) == 4


@pytest.mark.parametrize("micro_batch", [None, 4])
def test_statistics_and_spectral_vectors_move_in_their_own_players_turn_alone(micro_batch):
    parts = 3 if micro_batch else 1
    task = made(NormedGan)
    params = with_(micro_batch=micro_batch, **every(discriminator=2))
    players, before = new_players(task, params, World()), buffers(task, "discriminator")
    stepped(task, params, 1, players)
    assert same(buffers(task, "discriminator"), before)
    assert batches_seen(task, "generator") == parts
    stepped(task, params, 2, players)
    moved = buffers(task, "discriminator")
    still = {name for name in before if torch.equal(moved[name], before[name])}
    assert still <= {f"3.parametrizations.weight.0._{one}" for one in "uv"}  # of one output
    assert batches_seen(task, "discriminator") == 2 * parts  # real ones and made ones
    assert batches_seen(task, "generator") == 3 * parts
    assert all(module.training for module in task.modules())


def test_they_do_so_without_a_shared_pass_too():
    class InTurn(NormedGan):
        shared_player = None
        shared = Gan.shared

        def losses(self, batch, player):
            made_now = self.generator(batch["x"])
            if player == "discriminator":
                made_now = made_now.detach()
            return super().losses({**batch, "shared": {"made": made_now}}, player)

    task = made(InTurn)
    stepped(task, with_(), 3)
    assert batches_seen(task, "generator") == 3
    assert batches_seen(task, "discriminator") == 2 * 3


def test_a_player_that_waits_keeps_its_weights_and_its_moments():
    task, params = made(NormedGan), with_(**every(generator=3))
    players = new_players(task, params, World())
    start = [weights(task.get_submodule(name)) for name in NormedGan.players]
    stepped(task, params, 2, players)
    discriminator, generator = players
    assert not generator.optimizer.state
    assert discriminator.optimizer.state
    now = weights(task.generator)
    changed = {name for name in now if not torch.equal(now[name], start[1][name])}
    assert changed == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    stepped(task, params, 3, players)
    assert generator.optimizer.state
    assert not torch.equal(task.generator[0].weight, start[1]["0.weight"])


@pytest.mark.parametrize("player", NormedGan.players)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_loss_that_is_no_number_leaves_weights_buffers_and_moments(player, precision):
    class Broken(NormedGan):
        def losses(self, batch, of):
            terms = super().losses(batch, of)
            if batch["step"] == 2 and of == player:
                terms |= {name: term * float("nan") for name, term in terms.items()}
            return terms

    task, params = made(Broken), with_(precision=precision, micro_batch=6)
    players = stepped(task, params, 2)
    before, scales = weights(task), [one.scaler.state_dict() for one in players]
    moments = [[value.clone() for value in moments_of(one)] for one in players]
    batch = seed_batch(SOURCE.batch_at(2, 0, 1), params, 2, World())
    with pytest.raises(NonFiniteLossError, match=f"step 2, {player}"):
        train_step(task, players, batch, 2, params, World())
    assert same(weights(task), before)
    assert [one.scaler.state_dict() for one in players] == scales
    for one, kept in zip(players, moments, strict=True):
        assert all(map(torch.equal, moments_of(one), kept))


def moments_of(player):
    return [value for state in player.optimizer.state.values() for value in state.values()]


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_after_lack_of_memory_weights_and_buffers_are_those_of_the_small_micro_batch(
    tmp_path, player
):
    class Narrow(NormedGan):
        def losses(self, batch, of):
            terms = super().losses(batch, of)
            if of == player and len(batch["keys"]) > 4:
                raise torch.OutOfMemoryError("full")
            return terms

    task, small = made(Narrow), made(NormedGan)
    params = with_(ema_decay=0.5)
    assert fit(task, SOURCE, params, tmp_path / "narrow", HELD_OUT).micro_batch == 3
    fit(small, SOURCE, with_(params, micro_batch=3), tmp_path / "small", HELD_OUT)
    assert same(weights(task), weights(small))


RESUMED = {
    "ratios, ema of one": {
        "ema_decay": 0.9,
        "ema_players": ["generator"],
        "players": {
            "discriminator": {"every": 2, "optimizer": "adam", "beta1": 0.5},
            "generator": {"learning_rate": 3e-3},
        },
    },
    "the generator waits, micro-batches": {"micro_batch": 5, **every(generator=3)},
    "fp16": {"precision": "fp16", "schedule": "cosine", **every(generator=2)},
    "bf16": {"precision": "bf16", "ema_decay": 0.5},
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_stopped_after_every_step_gives_the_weights_of_one_that_never_stopped(tmp_path, name):
    params = with_(log_every=3, **RESUMED[name])
    whole, folder = made(NormedGan), tmp_path / "parts"
    expected = fit(whole, SOURCE, params, tmp_path / "whole", HELD_OUT)
    assert all(value.isfinite().all() for value in weights(whole).values())
    for after in range(1, 8):
        task = made(NormedGan) if after == 1 else unlike_the_start()
        broken_off(task, params, folder, tmp_path, after)
        (tmp_path / "stop").unlink()
    resumed = unlike_the_start()
    assert fit(resumed, SOURCE, params, folder, HELD_OUT) == expected
    assert same(weights(resumed), weights(whole))
    lines = [(path / "metrics.jsonl").read_bytes() for path in (folder, tmp_path / "whole")]
    assert lines[0] == lines[1]


def unlike_the_start():
    """A task of which a resumed run may keep nothing."""
    task = made(NormedGan)
    with torch.no_grad():
        for value in [*task.parameters(), *task.buffers()]:
            value.add_(1)
    return task


def test_losses_and_metrics_know_the_step(tmp_path):
    class Counting(NormedGan):
        def losses(self, batch, player):
            self.steps.append((batch["step"], player))
            return super().losses(batch, player)

    task = made(Counting)
    task.steps = []
    outcome = fit(task, SOURCE, with_(max_steps=5, **every(discriminator=2)), tmp_path, HELD_OUT)
    assert [step for step, player in task.steps if player == "generator"] == [0, 1, 2, 3, 4]
    assert [step for step, player in task.steps if player == "discriminator"] == [1, 3]
    assert outcome.metrics["step"] == 5


def test_what_is_shared_needs_a_player_that_it_trains():
    class Nobodys(NormedGan):
        shared_player = None

    with pytest.raises(AssertionError, match="shared needs a shared_player"):
        new_players(made(Nobodys), with_(), World())
