"""Options of a training run from the environment.

None of it changes a weight: see docs/running.md.
"""

from pathlib import Path

import torch

from pipeline.params.environment import environment
from trainers.loop.fit import RunOptions


def run_options(folder: Path, stop_file: Path | None = None) -> RunOptions:
    """Return the options of a run whose files lie in `folder`.

    LIPFORGE_TRAIN_LOGS names what else takes the numbers: `tensorboard`, `dvclive`, or both with
    a comma. Each writes into its own folder inside `folder`. LIPFORGE_TRAIN_SPEED names what a
    GPU may gain from (docs/training_speed.md): `channels_last`, `compile`.

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
        channels_last="channels_last" in speed,
        compile="compile" in speed,
    )


def fix_cpu_threads(device: torch.device, threads: int) -> None:
    """Fix the number of CPU threads of torch, for CPU training only.

    Another number adds in another order: so weights do not depend on the number of cores.
    """
    if device.type == "cpu":
        torch.set_num_threads(threads)


def loader_workers() -> int:
    """Return LIPFORGE_LOADER_WORKERS: threads that decode ahead per process; 0 if not set.

    Raises:
        ParamsError: it is no whole number of at least 1.
    """
    return environment().loader_workers or 0
