"""The memory that a run is said to take, against what its tensors take."""

import logging

import pytest

from tests.trainers.loop.toy_tasks import SOURCE, Regression, batch_at, made, with_
from trainers.loop.fit import fit
from trainers.loop.memory_plan import memory_plan
from trainers.loop.state import new_state
from trainers.loop.step import train_step
from trainers.loop.validation import seed_batch
from trainers.processes.world import World


def nbytes(tensors):
    return sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_plan_is_what_weights_gradients_and_moments_take(precision):
    params = with_(precision=precision, ema_decay=0.5, micro_batch=4)
    state = new_state(made(Regression), params, World())
    plan = memory_plan(state.task, params, batch_at(0))
    batch = seed_batch(batch_at(0), params, 0, World())
    train_step(state.task, state.players, batch, 0, params, World())
    trained = list(state.task.generator.parameters())
    (player,) = state.players
    moments = [
        value
        for of_one in player.optimizer.state.values()
        for name, value in of_one.items()
        if name != "step"
    ]
    assert plan == {
        "trained weights": nbytes(trained),
        "frozen weights": nbytes(state.task.teacher.parameters()),
        "gradients": nbytes(p.grad for p in trained),
        "moments": nbytes(moments),
        "moving average": 2 * nbytes(state.averages["generator"].state().values()),
        "micro-batches in flight": 2 * nbytes([batch_at(0)["x"][:4]]),
    }


def test_a_run_says_it_before_its_first_step_and_once(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    fit(made(Regression), SOURCE, with_(max_steps=3), tmp_path)
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("memory, GiB")]
    assert len(said) == 1
    assert "trained weights" in said[0]
