"""One rank of two: `python -m tests.trainers.processes.rank_run FOLDER`, as torchrun starts it.

Also the training function that the tests of `launch` start.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import NonFiniteLossError, ParamsError
from tests.trainers.loop.toy_tasks import (
    HELD_OUT,
    SOURCE,
    Gan,
    NormedGan,
    OftenDeaf,
    Regression,
    SharedGan,
    batch_at,
    made,
    with_,
)
from trainers.loop.batches import BatchSource, WholeBatches
from trainers.loop.fit import RunOptions, fit
from trainers.processes.stop import TrainingStopped
from trainers.processes.world import World, joined

ONE_LEARNS_SELDOM = {
    "ema_decay": 0.9,
    "ema_players": ["generator"],
    "players": {"discriminator": {"every": 2, "optimizer": "adam", "beta1": 0.5}},
}
RUNS = {
    "noise, ema": (Regression, {"noise": 0.3}, {"ema_decay": 0.9}),
    "accumulation": (Regression, {"noise": 0.3}, {"micro_batch": 4}),
    "odd batch": (Regression, {}, {}),
    "two players": (Gan, {}, {}),
    "shared forward": (SharedGan, {}, ONE_LEARNS_SELDOM),
    "shared forward, accumulation": (SharedGan, {}, {"micro_batch": 4, **ONE_LEARNS_SELDOM}),
    "spectral norm": (NormedGan, {"norm": nn.LayerNorm}, {"players": {"generator": {"every": 3}}}),
    "fp16": (Regression, {}, {"precision": "fp16"}),
    "left out": (OftenDeaf, {}, {}),
    "left out, accumulation": (OftenDeaf, {}, {"micro_batch": 2}),
}
BATCH_NORM = {"micro_batch": 4, **ONE_LEARNS_SELDOM}
"""Of the task whose batch norm sees the items of a rank: not the weights of one process."""


def source_of(name):
    return WholeBatches(lambda step: batch_at(step, items=11)) if name == "odd batch" else SOURCE


def run(name, folder, world=None):
    kind, options, changes = RUNS[name]
    task = made(kind, **options)
    outcome = fit(task, source_of(name), with_(**changes), folder / name, HELD_OUT, world)
    return {"weights": task.state_dict(), "metrics": outcome.metrics}


def run_with_batch_norm(folder, world):
    """Return what a run gives, and the same run that was stopped in between."""
    whole, stopped, resumed = (made(NormedGan) for _ in range(3))
    params, options = with_(**BATCH_NORM), RunOptions(read_ahead_batches=0)
    outcome = fit(whole, SOURCE, params, folder / "whole", HELD_OUT, world)
    try:
        fit(stopped, SignalToOne(), params, folder / "parts", HELD_OUT, world, options)
    except TrainingStopped:
        again = fit(resumed, SOURCE, params, folder / "parts", HELD_OUT, world)
    return {
        "whole": {"weights": whole.state_dict(), "metrics": outcome.metrics},
        "parts": {"weights": resumed.state_dict(), "metrics": again.metrics},
    }


def with_nan(step):
    batch = batch_at(step)
    if step == 2:
        batch["x"][5] = float("nan")
    return batch


class SignalToOne(BatchSource):
    """Rank 1 gets a SIGTERM before the batch of step 3."""

    def batch_at(self, step, rank, size):
        if step == 3 and rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return SOURCE.batch_at(step, rank, size)


def refuse(message):
    raise ParamsError(message)


def main():
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    with joined() as world:
        results = {name: run(name, folder, world) for name in RUNS}
        results["batch norm"] = run_with_batch_norm(folder / "batch norm", world)
        try:
            fit(made(), WholeBatches(with_nan), with_(micro_batch=1), folder / "nan", world=world)
        except NonFiniteLossError as error:
            results["nan"] = str(error)
        try:
            options = RunOptions(read_ahead_batches=0)
            fit(made(), SignalToOne(), with_(), folder / "stop", HELD_OUT, world, options)
        except TrainingStopped as stopped:
            results["stop"] = stopped.code
        results["by_first"] = [world.by_first(lambda: world.rank)]
        try:
            world.by_first(lambda: refuse(f"of rank {world.rank}"))
        except ParamsError as error:
            results["by_first"].append(str(error))
        torch.save(results, folder / f"rank{world.rank}.pt")


def train(config, world: World, stop_file):
    """Rank 1 dies once in step 5; `nan` poisons an item; `slow` waits for the stop file."""
    folder = Path(config["folder"])

    def batch(step):
        if config.get("nan"):
            return with_nan(step)
        died = folder / "died"
        if config.get("dies") and step == 5 and world.rank == 1 and not died.exists():
            died.write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return batch_at(step)

    options = RunOptions(read_ahead_batches=0, stop_file=stop_file)
    task = made(noise=0.3)
    params = with_(save_every=2, max_steps=config.get("steps", 8))
    fit(task, WholeBatches(batch), params, folder, world=world, options=options)
    state = {name: value.tolist() for name, value in task.state_dict().items()}
    return {"size": world.size, "weights": state}


if __name__ == "__main__":
    main()
