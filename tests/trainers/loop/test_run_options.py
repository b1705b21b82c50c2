import pytest

from pipeline.errors import ParamsError
from trainers.loop.run_options import run_options


def test_the_environment_says_who_else_takes_the_numbers_and_what_is_faster(monkeypatch, tmp_path):
    monkeypatch.setenv("LIPFORGE_TRAIN_LOGS", "dvclive,tensorboard")
    monkeypatch.setenv("LIPFORGE_TRAIN_SPEED", "compile")
    options = run_options(tmp_path)
    assert options.dvclive == tmp_path / "dvclive"
    assert options.tensorboard == tmp_path / "tensorboard"
    assert (options.compile, options.channels_last) == (True, False)


def test_nothing_more_is_written_unless_asked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("LIPFORGE_TRAIN_LOGS", raising=False)
    options = run_options(tmp_path)
    assert (options.dvclive, options.tensorboard, options.compile) == (None, None, False)


@pytest.mark.parametrize("variable", ["LIPFORGE_TRAIN_LOGS", "LIPFORGE_TRAIN_SPEED"])
def test_an_unknown_name_stops_with_the_known_ones(monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, "wandb")
    with pytest.raises(ParamsError, match=f"{variable}: 'wandb': must be of .*, "):
        run_options(tmp_path)
