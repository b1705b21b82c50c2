"""What the environment says about a training run, and where curated shards lie.

None of it changes a weight: see docs/running.md.
"""

import os
from pathlib import Path

from pipeline.command import DATA
from pipeline.environment import count_from_environment
from pipeline.errors import ParamsError
from trainers.data.errors import TrainingDataError
from trainers.data.index import shard_urls
from trainers.loop import RunOptions

LOGS = ("tensorboard", "dvclive")


def run_options(folder: Path, stop_file: Path | None = None) -> RunOptions:
    """Return the options of a run whose files lie in `folder`.

    LIPFORGE_TRAIN_LOGS names what else takes the numbers: `tensorboard`, `dvclive`, or both with
    a comma. Each writes into its own folder inside `folder`.

    Raises:
        ParamsError: another name.
    """
    wanted = [name for name in os.environ.get("LIPFORGE_TRAIN_LOGS", "").split(",") if name]
    if wrong := sorted(set(wanted) - set(LOGS)):
        raise ParamsError(f"LIPFORGE_TRAIN_LOGS: {wrong[0]!r}: must be of {', '.join(LOGS)}")
    folders = {name: folder / name for name in wanted}
    return RunOptions(
        stop_file=stop_file,
        tensorboard=folders.get("tensorboard"),
        dvclive=folders.get("dvclive"),
    )


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
