"""Logs: JSON lines always, DVCLive and TensorBoard where installed."""

import json
from importlib.util import find_spec

import pytest

from pipeline.errors import ParamsError
from tests.trainers.loop.toy_tasks import HELD_OUT, SOURCE, made, with_
from trainers.loop.fit import RunOptions, fit
from trainers.loop.metric_loggers import DvcLive, JsonLines, TensorBoard


def test_lines_that_will_come_again_are_cut_off(tmp_path):
    path = tmp_path / "m.jsonl"
    log = JsonLines(path, 0)
    for step in (0, 5, 10, 15):
        log.log(step, {"loss": step / 10})
    log.close()
    with path.open("a") as stream:
        stream.write('{"step": 20, "lo')  # killed while writing
    JsonLines(path, 10).close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 5, 10]
    JsonLines(path, 0).close()
    assert path.read_text() == ""


def test_what_is_no_number_is_null(tmp_path):
    log = JsonLines(tmp_path / "m.jsonl", 0)
    log.log(1, {"loss": float("nan"), "other": 1.5})
    log.close()
    row = json.loads((tmp_path / "m.jsonl").read_text())
    assert row == {"step": 1, "loss": None, "other": 1.5}


def test_a_line_is_the_mean_since_the_line_before(tmp_path):
    for every in (1, 4):
        fit(made(), SOURCE, with_(log_every=every, warmup_steps=0), tmp_path / str(every))
    rows = {
        every: [json.loads(line) for line in (tmp_path / str(every) / "metrics.jsonl").open()]
        for every in (1, 4)
    }
    name = "train/generator/square"
    means = [sum(row[name] for row in rows[1][first : first + 4]) / 4 for first in (0, 4)]
    assert [row[name] for row in rows[4]] == pytest.approx(means)


def test_speed_stands_in_a_file_of_its_own(tmp_path):
    fit(made(), SOURCE, with_(), tmp_path, HELD_OUT)
    speed = [json.loads(line) for line in (tmp_path / "speed.jsonl").open()]
    assert [row["items"] for row in speed] == [96]
    assert speed[0]["items_per_second"] > 0
    assert "second" not in (tmp_path / "metrics.jsonl").read_text()


@pytest.mark.parametrize(("kind", "package"), [(TensorBoard, "tensorboard"), (DvcLive, "dvclive")])
def test_a_logger_that_is_not_installed_is_the_users_error(tmp_path, monkeypatch, kind, package):
    monkeypatch.setattr("trainers.loop.metric_loggers.find_spec", lambda name: None)
    with pytest.raises(ParamsError, match=f"pip install {package}"):
        kind(tmp_path, 0)


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_gets_the_scalars(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(made(), SOURCE, with_(), tmp_path, HELD_OUT, options=RunOptions(tensorboard=tmp_path / "t"))
    events = EventAccumulator(str(tmp_path / "t")).Reload()
    assert [event.step for event in events.Scalars("validation/square")] == [0, 4, 8]


@pytest.mark.skipif(find_spec("dvclive") is None, reason="dvclive is not installed")
def test_dvclive_gets_the_numbers_and_makes_no_experiment(tmp_path):
    fit(made(), SOURCE, with_(), tmp_path, HELD_OUT, options=RunOptions(dvclive=tmp_path / "live"))
    table = (tmp_path / "live" / "plots" / "metrics" / "validation" / "square.tsv").read_text()
    assert [line.split("\t")[0] for line in table.splitlines()] == ["step", "0", "4", "8"]
    assert json.loads((tmp_path / "live" / "metrics.json").read_text())["step"] == 8
