"""A step that does not fit into memory is repeated with fewer items, and gives their weights."""

import json
import logging

import pytest
import torch

from pipeline.errors import ParamsError
from tests.trainers.loop.toy_tasks import (
    HELD_OUT,
    SOURCE,
    AllDice,
    Gan,
    Regression,
    made,
    same,
    weights,
    with_,
)
from trainers.loop.checkpoints import SaveClock
from trainers.loop.fit import RunOptions, fit
from trainers.loop.micro_batch import MicroBatch
from trainers.processes.world import World


def narrow(kind, most, player=None):
    """A task that has memory for so many items at once, in one player's losses or in all."""

    class Narrow(kind):
        def losses(self, batch, of):
            terms = super().losses(batch, of)
            if len(batch["keys"]) > most and player in (None, of):
                raise torch.OutOfMemoryError(f"{len(batch['keys'])} items\nand a long report")
            return terms

        def validate(self, batch):
            if len(batch["keys"]) > most:
                raise torch.OutOfMemoryError("validation")
            return super().validate(batch)

    return Narrow


@pytest.mark.parametrize("micro_batch", [None, 12, 5])
@pytest.mark.parametrize(
    ("kind", "options"), [(Regression, {"dropout": 0.3, "noise": 0.2}), (AllDice, {})]
)
def test_after_lack_of_memory_the_weights_are_those_of_the_small_micro_batch(
    tmp_path, kind, options, micro_batch
):
    task = made(narrow(kind, 3), **options)
    params = with_(micro_batch=micro_batch, ema_decay=0.5)
    outcome = fit(task, SOURCE, params, tmp_path / "narrow", HELD_OUT)
    assert outcome.micro_batch == 3
    small = made(kind, **options)
    expected = fit(small, SOURCE, with_(micro_batch=3, ema_decay=0.5), tmp_path / "small", HELD_OUT)
    assert same(weights(task), weights(small))
    assert outcome == expected
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("narrow", "small")]
    assert lines[0] == lines[1]


def test_the_first_player_is_not_moved_twice_where_the_second_has_too_little_memory(tmp_path):
    task, small = made(narrow(Gan, 3, "discriminator")), made(Gan)
    assert fit(task, SOURCE, with_(), tmp_path / "narrow").micro_batch == 3
    fit(small, SOURCE, with_(micro_batch=3), tmp_path / "small")
    assert same(weights(task), weights(small))


def test_it_says_so_with_the_numbers(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    fit(made(narrow(Regression, 6)), SOURCE, with_(max_steps=2), tmp_path)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        "out of memory with 12 items at once; from here on 6 (fit.micro_batch): 12 items"
    )


def test_a_run_that_is_done_still_says_with_how_many_items(tmp_path):
    fit(made(narrow(Regression, 6)), SOURCE, with_(max_steps=2), tmp_path)
    assert fit(made(Regression), SOURCE, with_(max_steps=2), tmp_path).micro_batch == 6


def test_one_item_that_does_not_fit_stops_with_what_to_do(tmp_path):
    with pytest.raises(ParamsError, match=r"micro_batch: 1 items need more memory; .*checkpoint"):
        fit(made(narrow(Regression, 0)), SOURCE, with_(), tmp_path)


def test_several_processes_stop_because_they_cannot_agree_any_more():
    def work(params):
        raise torch.OutOfMemoryError("full")

    with pytest.raises(ParamsError, match=r"micro_batch: 8 items .* lower it in params.yaml"):
        MicroBatch(8).fitting(with_(), lambda: 12, World(size=2), work)


def test_checkpoints_by_time_change_no_weight_and_come_between_those_by_steps(
    tmp_path, monkeypatch
):
    saved = []
    monkeypatch.setattr(
        "trainers.loop.checkpoints.save_state", lambda folder, step, state: saved.append(step)
    )
    ticks = iter(range(0, 10_000, 20))  # every look at the clock is 20 seconds later
    monkeypatch.setattr("trainers.loop.checkpoints.time.monotonic", lambda: next(ticks))
    often = made()
    options = RunOptions(read_ahead_batches=0)
    fit(often, SOURCE, with_(save_minutes=0.5, save_every=8), tmp_path / "often", options=options)
    assert saved == [2, 4, 6, 8]
    seldom = made()
    fit(seldom, SOURCE, with_(save_every=8), tmp_path / "seldom", options=options)
    assert saved == [2, 4, 6, 8, 8]
    assert same(weights(often), weights(seldom))


def test_a_clock_without_minutes_is_never_due():
    assert not SaveClock(None, World()).due()
    assert SaveClock(1e-9, World()).due()


def test_the_micro_batch_in_use_is_in_the_checkpoint(tmp_path):
    fit(made(narrow(Regression, 6)), SOURCE, with_(max_steps=2, save_every=1), tmp_path)
    content = torch.load(tmp_path / "step-00000002.pt", weights_only=True)
    assert content["micro_batch"] == 6
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 2
