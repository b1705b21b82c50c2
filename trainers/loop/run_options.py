"""What the environment says about a training run, and where curated shards lie.

None of it changes a weight: see docs/running.md.
"""

import os
from pathlib import Path

import torch

from pipeline.engine.command import DATA
from pipeline.errors import ParamsError
from pipeline.params.environment import count_from_environment
from trainers.data.index import shard_urls
from trainers.errors import TrainingDataError
from trainers.loop.fit import RunOptions

LOGS = ("tensorboard", "dvclive")
SPEED = ("channels_last", "compile")


def run_options(folder: Path, stop_file: Path | None = None) -> RunOptions:
    """Return the options of a run whose files lie in `folder`.

    LIPFORGE_TRAIN_LOGS names what else takes the numbers: `tensorboard`, `dvclive`, or both with
    a comma. Each writes into its own folder inside `folder`. LIPFORGE_TRAIN_SPEED names what a
    GPU may gain from (docs/training_speed.md): `channels_last`, `compile`.

    Raises:
        ParamsError: another name.
    """
    folders = {name: folder / name for name in _named("LIPFORGE_TRAIN_LOGS", LOGS)}
    speed = _named("LIPFORGE_TRAIN_SPEED", SPEED)
    return RunOptions(
        stop_file=stop_file,
        tensorboard=folders.get("tensorboard"),
        dvclive=folders.get("dvclive"),
        channels_last="channels_last" in speed,
        compile="compile" in speed,
    )


def fix_cpu_threads(device: torch.device, threads: int) -> None:
    """Let torch use always as many threads where it computes on the CPU.

    Another number adds in another order: so weights do not depend on the number of cores.
    """
    if device.type == "cpu":
        torch.set_num_threads(threads)


def _named(variable: str, known: tuple[str, ...]) -> list[str]:
    wanted = [name for name in os.environ.get(variable, "").split(",") if name]
    if wrong := sorted(set(wanted) - set(known)):
        raise ParamsError(f"{variable}: {wrong[0]!r}: must be of {', '.join(known)}")
    return wanted


def loader_workers() -> int:
    """Return LIPFORGE_LOADER_WORKERS: threads that decode ahead per process; 0 if not set.

    Raises:
        ParamsError: it is no whole number of at least 1.
    """
    return count_from_environment("LIPFORGE_LOADER_WORKERS") or 0


def split_urls(split: str, shards: Path = DATA / "shards") -> list[str]:
    """Return the tars of one split of the curated shards.

    Raises:
        TrainingDataError: the split is empty; says what to do.
    """
    folder = shards / split
    if not any(folder.glob("*.tar")):
        fix = "run `dvc repro shards`; if it has run, no clip fell into this split"
        share = "" if split == "train" else f": more speakers or a higher select.{split}_share help"
        raise TrainingDataError(f"{folder}: no .tar; {fix}{share}")
    return shard_urls(folder)
