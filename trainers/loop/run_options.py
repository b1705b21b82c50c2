"""Options of a training run from the environment.

None of it changes a weight: see docs/running.md.
"""

from pathlib import Path

import torch

from pipeline.limits import usable_cpus
from pipeline.params.environment import environment
from trainers.loop.fit import RunOptions
from trainers.processes.world import World

MOST_WORKERS = 16


def run_options(folder: Path, stop_file: Path | None = None) -> RunOptions:
    """Return the options of a run whose files lie in `folder`.

    LIPFORGE_TRAIN_LOGS names what else takes the numbers: `tensorboard`, `dvclive`, or both with
    a comma. Each writes into its own folder inside `folder`. LIPFORGE_TRAIN_SPEED names what a
    GPU may gain from (docs/training_speed.md): `compile`; and what it
    may not use: `exact_fp32` is no TF32.

    Raises:
        ParamsError: another name.
    """
    wanted = environment()
    folders = {name: folder / name for name in wanted.train_logs}
    speed = wanted.train_speed
    return RunOptions(
        stop_file=stop_file,
        tensorboard=folders.get("tensorboard"),
        dvclive=folders.get("dvclive"),
        compile="compile" in speed,
        exact_fp32="exact_fp32" in speed,
    )


def fix_cpu_threads(device: torch.device, threads: int) -> None:
    """Fix the number of CPU threads of torch, for CPU training only.

    Another number adds in another order: so weights do not depend on the number of cores.
    """
    if device.type == "cpu":
        torch.set_num_threads(threads)


def loader_workers(world: World, batch: int) -> int:
    """Return the threads that decode ahead in this process; no number changes a batch.

    LIPFORGE_LOADER_WORKERS, or without it: on a CPU 0 (one thread reads ahead; more would take
    cores from the training), on a GPU the process's share of the machine's cores, less one for the
    training itself, 16 at most. Never more than the windows that this process reads per step.

    Args:
        batch: windows per step, all processes together.

    Raises:
        ParamsError: it is no whole number of at least 1.
    """
    wanted = environment().loader_workers
    if wanted is None:
        if world.device.type != "cuda":
            return 0
        wanted = cores_per_gpu() - 1
    return max(1, min(wanted, MOST_WORKERS, batch // world.size))


def cores_per_gpu() -> int:
    """Return this machine's cores that the process may use, divided by its GPUs."""
    return usable_cpus() // max(torch.cuda.device_count(), 1)
