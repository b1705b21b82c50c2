import pytest
import torch

from pipeline.errors import ParamsError
from trainers.loop import run_options as options_module
from trainers.loop.run_options import loader_workers, run_options
from trainers.processes.world import World

GPU = torch.device("cuda", 0)


def test_the_environment_says_who_else_takes_the_numbers_and_what_is_faster(monkeypatch, tmp_path):
    monkeypatch.setenv("LIPFORGE_TRAIN_LOGS", "dvclive,tensorboard")
    monkeypatch.setenv("LIPFORGE_TRAIN_SPEED", "compile")
    options = run_options(tmp_path)
    assert options.dvclive == tmp_path / "dvclive"
    assert options.tensorboard == tmp_path / "tensorboard"
    assert (options.compile, options.exact_fp32) == (True, False)


def test_nothing_more_is_written_unless_asked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("LIPFORGE_TRAIN_LOGS", raising=False)
    options = run_options(tmp_path)
    assert (options.dvclive, options.tensorboard, options.compile) == (None, None, False)


@pytest.mark.parametrize("variable", ["LIPFORGE_TRAIN_LOGS", "LIPFORGE_TRAIN_SPEED"])
def test_an_unknown_name_stops_with_the_known_ones(monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, "wandb")
    with pytest.raises(ParamsError, match=f"{variable}: 'wandb': must be of .*, "):
        run_options(tmp_path)


def test_a_gpu_gets_loader_threads_by_its_cores_and_a_cpu_none(monkeypatch):
    monkeypatch.delenv("LIPFORGE_LOADER_WORKERS", raising=False)
    monkeypatch.setattr(options_module, "cores_per_gpu", lambda: 12)
    assert loader_workers(World(), 64) == 0
    assert loader_workers(World(device=GPU), 64) == 11
    assert loader_workers(World(size=8, device=GPU), 64) == 8  # windows of this process
    monkeypatch.setattr(options_module, "cores_per_gpu", lambda: 1)
    assert loader_workers(World(device=GPU), 64) == 1
    monkeypatch.setattr(options_module, "cores_per_gpu", lambda: 96)
    assert loader_workers(World(device=GPU), 64) == 16


def test_the_environment_overrules_the_number_of_loader_threads(monkeypatch):
    monkeypatch.setenv("LIPFORGE_LOADER_WORKERS", "3")
    assert loader_workers(World(), 64) == 3
    assert loader_workers(World(device=GPU), 2) == 2
