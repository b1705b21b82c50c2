"""Starts a training function in this process, in torchrun's processes or in Ray Train.

    result = launch(train, config, folder)       # train(config, world, stop_file) -> plain python

One process and one device need no Ray. LIPFORGE_TRAIN_PROCESSES names the number of processes;
without it there is one per GPU. A rank that dies costs the steps since the latest checkpoint: Ray
starts all ranks again, and `fit` resumes.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import torch

from pipeline.atomic import write_json, write_text
from pipeline.errors import ClusterError, LipforgeError, ParamsError, StorageError
from pipeline.params.environment import environment
from trainers.errors import ShardReadError
from trainers.processes.stop import StopRequest, TrainingStopped
from trainers.processes.world import World, joined

Train: TypeAlias = Callable[[Mapping[str, Any], World, Path | None], Any]
"""(config, world, stop file) -> plain python. Must be importable by name, for Ray's workers."""

RESTARTS = 3
"""How often lost ranks are started again before the run has failed."""
PASSING = (StorageError, ShardReadError)
"""Transient errors, retried by a restart; other errors of ours are permanent."""


def launch(train: Train, config: Mapping[str, Any], folder: Path) -> Any:
    """Run `train` on all processes and return what rank 0 returned.

    Args:
        config: plain python, as it goes to other machines.
        folder: the run's own (`folder_of_run`), seen by all ranks.

    Raises:
        TrainingStopped: after SIGTERM or SIGINT, with all saved.
        ParamsError: an environment variable is wrong or missing.
        ClusterError: Ray cannot be reached, or ranks were lost too often.
        LipforgeError: what `train` raised.
    """
    by_torchrun = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    settings = environment()
    address, processes = settings.ray_address, settings.train_processes
    if by_torchrun or (not address and (processes or torch.cuda.device_count()) <= 1):
        with joined() as world:
            return train(config, world, None)
    if address and settings.training is None:
        fix = "set it to a folder that all workers mount"
        raise ParamsError(f"LIPFORGE_RAY_ADDRESS needs LIPFORGE_TRAINING: {fix}")
    return _by_ray(train, config, folder.absolute(), processes)


def _by_ray(train: Train, config: Mapping[str, Any], folder: Path, processes: int | None) -> Any:
    control = folder / "ray"
    shutil.rmtree(control, ignore_errors=True)
    control.mkdir(parents=True)
    job = {"train": train, "config": dict(config), "control": str(control)}
    ray_train = _ray_train()  # first: Ray installs signal handlers of its own
    stop = StopRequest()
    with stop.listening(), ThreadPoolExecutor(1) as pool:  # a thread: else Ray takes Ctrl-C
        running = pool.submit(_fit_by_ray, ray_train, job, processes)
        ended = _waited(running, stop, control / "stop")
    if "failed" in ended:
        raise _as_error(**ended["failed"])
    if "stopped" in ended:
        raise TrainingStopped(ended["stopped"])
    return ended["result"]


def _waited(running: Future[dict[str, Any]], stop: StopRequest, file: Path) -> dict[str, Any]:
    """Wait for the run; forward a signal to the workers, which save and exit."""
    while not running.done():
        if stop.signum is not None and not file.exists():
            write_text(file, str(int(stop.signum)))
        time.sleep(0.1)
    return running.result()


def _fit_by_ray(train: Any, job: dict[str, Any], processes: int | None) -> dict[str, Any]:
    torch_trainer: Any = import_module("ray.train.torch").TorchTrainer
    gpus = _cluster_gpus()
    scaling = train.ScalingConfig(num_workers=processes or gpus or 1, use_gpu=gpus > 0)
    run = train.RunConfig(
        name="run",
        storage_path=job["control"],
        failure_config=train.FailureConfig(max_failures=RESTARTS),
        logging_config=train.LoggingConfig(log_level="WARNING"),
    )
    trainer = torch_trainer(_rank, train_loop_config=job, scaling_config=scaling, run_config=run)
    try:
        ended: dict[str, Any] = trainer.fit().return_value
    except train.TrainingFailedError as error:
        raise ClusterError(f"training failed {RESTARTS + 1} times; the last: {error}") from error
    return ended


def _rank(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run in every worker; permanent errors end the run instead of failing it."""
    control = Path(job["control"])
    if failures := sorted(control.glob("failed-*.json")):
        return {"failed": json.loads(failures[0].read_text(encoding="utf-8"))}
    try:
        with joined() as world:
            return {"result": job["train"](job["config"], world, control / "stop")}
    except TrainingStopped as stopped:
        return {"stopped": stopped.signum}
    except PASSING:
        raise
    except LipforgeError as error:
        failure = {"name": type(error).__name__, "message": str(error)}
        write_json(control / f"failed-{os.getpid()}.json", failure)
        raise


def _as_error(name: str, message: str) -> LipforgeError:
    """Reconstruct the error of a worker, of the same class."""
    kinds: list[type[LipforgeError]] = [LipforgeError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    kind = next((kind for kind in kinds if kind.__name__ == name), LipforgeError)
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def _ray_train() -> Any:
    """Import Ray Train and connect to a cluster, or start one.

    Raises:
        ParamsError: its extra is not installed.
    """
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # paths are relative to the project's folder
    from pipeline.engine.ray_connection import connect

    try:
        from ray import train
    except ImportError as error:
        fix = "pip install 'ray[train]'"
        raise ParamsError(f"several processes need Ray Train: {fix} ({error})") from error
    connect()
    return train


def _cluster_gpus() -> int:
    ray: Any = import_module("ray")
    return int(ray.cluster_resources().get("GPU", 0))
