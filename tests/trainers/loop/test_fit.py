"""The training loop, with toy tasks."""

import json

import pytest
import torch

from pipeline.errors import CheckpointError, NonFiniteLossError, ParamsError
from tests.trainers.loop.toy_tasks import (
    HELD_OUT,
    PARAMS,
    SOURCE,
    AllDice,
    Gan,
    Loud,
    Regression,
    batch_at,
    made,
    same,
    weights,
    with_,
)
from trainers.loop.batches import BatchSource, WholeBatches
from trainers.loop.fit import RunOptions, fit
from trainers.loop.validation import run_validation
from trainers.processes.stop import TrainingStopped
from trainers.processes.world import World


class StopsAt(BatchSource):
    """Asks for a stop, through the file, when the batch of a step is made."""

    def __init__(self, step, file):
        self.step, self.file = step, file

    def batch_at(self, step, rank, size):
        if step == self.step:
            self.file.write_text("15")
        return SOURCE.batch_at(step, rank, size)


def broken_off(task, params, folder, tmp_path, after):
    """Train a while, be stopped."""
    options = RunOptions(read_ahead_batches=0, stop_file=tmp_path / "stop")
    source = StopsAt(after - 1, tmp_path / "stop")
    with pytest.raises(TrainingStopped) as stopped:
        fit(task, source, params, folder, HELD_OUT, options=options)
    assert stopped.value.code == 143


VARIANTS = {
    "plain": (Regression, {}, {}),
    "dropout, bf16, ema, cosine": (
        Regression,
        {"dropout": 0.3, "noise": 0.1},
        {"precision": "bf16", "ema_decay": 0.9, "schedule": "cosine"},
    ),
    "fp16, accumulation": (Loud, {"noise": 0.1}, {"precision": "fp16", "micro_batch": 5}),
    "python, numpy and torch dice": (AllDice, {"dropout": 0.2}, {}),
    "two players": (Gan, {}, {"ema_decay": 0.5}),
    "best weights": (
        Regression,
        {},
        {"best_metric": "square", "best_mode": "max", "final": "best", "validate_every": 3},
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("after", [3, 4])
def test_resuming_gives_bit_for_bit_what_a_run_that_never_stopped_gives(tmp_path, name, after):
    kind, task_options, changes = VARIANTS[name]
    params = with_(log_every=3, **changes)
    whole = made(kind, **task_options)
    expected = fit(whole, SOURCE, params, tmp_path / "whole", HELD_OUT)
    broken_off(made(kind, **task_options), params, tmp_path / "parts", tmp_path, after)
    resumed = made(kind, **task_options)
    with torch.no_grad():  # nothing may depend on how the resumed task starts
        for player in resumed.players:
            resumed.parameters_of(player)[0].add_(1.0)
    outcome = fit(resumed, SOURCE, params, tmp_path / "parts", HELD_OUT)
    assert outcome == expected
    assert outcome.step == 8
    assert same(weights(resumed), weights(whole))
    logs = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_training_lowers_the_loss_on_data_it_does_not_see(tmp_path):
    outcome = fit(made(), SOURCE, with_(max_steps=150), tmp_path, HELD_OUT)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert outcome.metrics["square"] < 0.2 * rows[0]["validation/square"]


def test_the_average_is_what_is_validated_and_handed_on(tmp_path):
    path = [weights(made())]
    for steps in (1, 2, 3):
        task = made()
        fit(task, SOURCE, with_(max_steps=steps, warmup_steps=0), tmp_path / str(steps))
        path.append(weights(task))
    averaged = made()
    params = with_(max_steps=3, warmup_steps=0, ema_decay=0.3)
    outcome = fit(averaged, SOURCE, params, tmp_path / "ema", HELD_OUT)
    expected = path[0]
    for number, now in enumerate(path[1:], 1):
        decay = min(0.3, (1 + number) / (10 + number))
        expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in now}
    for name, value in weights(averaged).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-7)
    again = run_validation(averaged, HELD_OUT, params, World())
    assert outcome.metrics == again


def test_a_finished_run_does_nothing_but_give_its_weights_again(tmp_path):
    first = made()
    expected = fit(first, SOURCE, PARAMS, tmp_path, HELD_OUT)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = made()
    never = WholeBatches(lambda step: pytest.fail("a batch was asked for"))
    assert fit(again, never, PARAMS, tmp_path, HELD_OUT) == expected
    assert same(weights(again), weights(first))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_two_checkpoints_and_the_best_are_kept(tmp_path):
    params = with_(save_every=1, validate_every=2, best_metric="square", final="best")
    fit(made(), SOURCE, params, tmp_path, HELD_OUT)
    names = sorted(path.name for path in tmp_path.glob("*.pt*"))
    assert names == ["best.pt", "step-00000007.pt", "step-00000008.pt"]


class Worsens(Regression):
    """A metric that is best at a known validation."""

    values = (9.0, 3.0, 2.0, 2.5, 2.0, 2.0, 1.0)

    def __init__(self):
        super().__init__()
        self.validations = 0

    def validate(self, batch):
        self.validations += 1
        return {"score": torch.tensor(self.values[(self.validations - 1) // 3])}


def test_the_best_weights_are_handed_on_and_patience_ends_the_run(tmp_path):
    params = with_(max_steps=100, validate_every=2, best_metric="score", final="best", patience=3)
    task = made(Worsens)
    outcome = fit(task, SOURCE, params, tmp_path, HELD_OUT)
    assert (outcome.finished, outcome.step) == ("early_stop", 10)
    assert (outcome.best_step, outcome.best_value) == (4, 2.0)
    short = made()
    fit(short, SOURCE, with_(max_steps=4), tmp_path / "short")
    assert same(weights(task), weights(short))


def test_an_unknown_best_metric_stops_before_the_first_step(tmp_path):
    params = with_(best_metric="sqare")
    with pytest.raises(ParamsError, match=r"sqare.*known here: count, square"):
        fit(made(), SOURCE, params, tmp_path, HELD_OUT)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_loss_that_is_nan_stops_before_the_step_and_names_the_items(tmp_path, precision):
    def with_nan(step):
        batch = batch_at(step)
        if step == 5:
            batch["x"][7] = float("nan")
        return batch

    params = with_(precision=precision, micro_batch=3, save_every=1)
    task, good = made(), made()
    with pytest.raises(NonFiniteLossError) as error:
        fit(task, WholeBatches(with_nan), params, tmp_path, HELD_OUT)
    message = str(error.value)
    assert "step 5, generator" in message
    named = {word.strip(".,;") for word in message.split() if word.startswith("step5-")}
    assert named == {"step5-item6", "step5-item7", "step5-item8"}
    fit(good, SOURCE, with_(params, max_steps=5), tmp_path / "good")
    assert same(weights(task), weights(good))


class Steep(Regression):
    """A finite loss with a gradient that is not: sqrt at 0."""

    def losses(self, batch, player):
        terms = super().losses(batch, player)
        return terms | {"steep": (self.generator[0].weight * 0).sum().sqrt()}


def test_a_gradient_that_is_no_number_stops_before_the_step(tmp_path):
    task = made(Steep)
    before = weights(task)
    with pytest.raises(NonFiniteLossError, match="step0-item0"):
        fit(task, SOURCE, PARAMS, tmp_path)
    assert same(weights(task), before)


def test_fp16_leaves_out_steps_that_overflow_but_not_for_ever(tmp_path):
    params = with_(precision="fp16", max_skipped_steps=3)
    with pytest.raises(NonFiniteLossError, match="step 3, generator"):
        fit(made(Steep), SOURCE, params, tmp_path)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    fit(made(), SOURCE, PARAMS, tmp_path)
    with pytest.raises(CheckpointError, match="another model; delete"):
        fit(made(Gan), SOURCE, PARAMS, tmp_path)


def test_frozen_parts_are_never_saved_and_never_leave_eval_mode(tmp_path):
    task = made()
    task.train()
    assert task.generator.training
    assert not task.teacher.training
    fit(task, SOURCE, PARAMS, tmp_path)
    stored = torch.load(tmp_path / "step-00000008.pt", weights_only=True)
    assert all(name.startswith("generator.") for name in stored["task"])


def test_a_forgotten_trainable_part_is_found(tmp_path):
    task = made()
    task.teacher.requires_grad_(True)
    with pytest.raises(AssertionError, match=r"no player's: \['teacher.weight'"):
        fit(task, SOURCE, PARAMS, tmp_path)


class Shows(Regression):
    def samples(self, rank, world_size):
        picture = torch.zeros(3, 8, 8, dtype=torch.uint8)
        return {"face": picture, "clip": picture.expand(5, 3, 8, 8)}


def test_samples_become_pictures_and_videos(tmp_path):
    fit(made(Shows), SOURCE, with_(sample_every=4), tmp_path)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("samples/*/*"))
    assert files == [
        f"samples/step-{step:08d}/{name}" for step in (4, 8) for name in ("clip.mp4", "face.png")
    ]


def test_validation_sends_no_more_through_at_once_than_a_step(monkeypatch):
    task, sizes = made(Regression), []
    validate = task.validate
    monkeypatch.setattr(
        task, "validate", lambda batch: (sizes.append(len(batch["keys"])), validate(batch))[1]
    )
    whole = run_validation(task, HELD_OUT, PARAMS, World())
    assert max(sizes) > 3
    sizes.clear()
    cut = run_validation(task, HELD_OUT, with_(micro_batch=3), World())
    assert max(sizes) == 3
    assert cut == pytest.approx(whole)
