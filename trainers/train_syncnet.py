"""The DVC stage `train_syncnet`: pre-flight, training, weights and curve of StableSyncNet.

data/shards/{train,val} -> models/train_syncnet, reports/train_syncnet.json and _curve.csv
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.atomic import copy_file, write_json
from pipeline.engine.command import run_main
from pipeline.params.curation import load_params
from pipeline.params.training import SyncnetProfile
from trainers.data.shard_urls import SplitUrls, split_urls
from trainers.loop.learning_curves import write_learning_curves
from trainers.loop.run_options import fix_cpu_threads, loader_workers, run_options
from trainers.processes.launch import launch
from trainers.processes.world import World
from trainers.systems.stable_syncnet.files import save_checkpoint, save_safetensors
from trainers.systems.stable_syncnet.network import StableSyncNet
from trainers.systems.stable_syncnet.preflight.preflight import PlannedRun, preflight
from trainers.systems.stable_syncnet.training import (
    index_splits,
    new_task,
    run_folder,
    train,
    training_source,
)

STAGE = "train_syncnet"
OUT = Path("models") / STAGE
REPORTS = Path("reports")
CPU_THREADS = 2
"""Nearly twice as fast as one."""
PREFLIGHT = "preflight.json"
WEIGHTS = "stable_syncnet"
"""`.safetensors` for us, `.pt` in the published layout."""


def run(config: Mapping[str, Any], world: World, stop_file: Path | None) -> dict[str, Any]:
    """Look first, then train, on this rank; rank 0 leaves all in the run's folder.

    Every rank returns after all is there.

    Raises:
        PreflightError: a check says that training would be in vain.
    """
    fix_cpu_threads(world.device, CPU_THREADS)
    profile = SyncnetProfile.model_validate(config["profile"])
    shards, folder = SplitUrls(**config["shards"]), Path(config["folder"])
    _run_preflight(profile, shards, config["name"], world, folder)
    options = run_options(folder, stop_file)
    workers = loader_workers(world, profile.batch)
    task, outcome = train(profile, shards, world, options, folder, workers)
    facts = {"profile": profile.model_dump(), "steps": outcome.step}
    world.by_first(partial(_save, folder, task.syncnet, facts))
    return asdict(outcome)


def _save(folder: Path, syncnet: StableSyncNet, facts: Mapping[str, Any]) -> None:
    save_safetensors(folder / f"{WEIGHTS}.safetensors", syncnet, facts)
    save_checkpoint(folder / f"{WEIGHTS}.pt", syncnet)


def _run_preflight(
    profile: SyncnetProfile, shards: SplitUrls, name: str, world: World, folder: Path
) -> None:
    learn, measure = index_splits(profile, shards)
    plan = PlannedRun(
        train=learn,
        validation=measure,
        source=training_source(profile, learn),
        new_task=partial(new_task, profile),
        profile=profile,
        name=name,
    )
    found = preflight(plan, world, kept=folder / "preflight-kept.json")
    world.by_first(lambda: write_json(folder / PREFLIGHT, found.content()))
    found.require()


def main() -> None:
    """`python -m trainers.train_syncnet`, called by dvc.yaml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    section = load_params().train_syncnet
    shards = SplitUrls(train=split_urls("train"), validation=split_urls("val"))
    folder = run_folder(section.chosen, shards)
    config = {
        "name": section.profile,
        "profile": section.chosen.model_dump(),
        "shards": asdict(shards),
        "folder": str(folder),
    }
    try:
        outcome = launch(run, config, folder)
    finally:  # also what the pre-flight found when it stops the run
        _copy_to_outputs(folder, PREFLIGHT)
    _copy_to_outputs(folder, f"{WEIGHTS}.safetensors", f"{WEIGHTS}.pt")
    write_learning_curves(folder / "metrics.jsonl", REPORTS / f"{STAGE}_curve.csv")
    write_json(REPORTS / f"{STAGE}.json", {"profile": section.profile, **outcome})


def _copy_to_outputs(folder: Path, *names: str) -> None:
    for name in names:
        if (folder / name).exists():
            copy_file(folder / name, OUT / name)


if __name__ == "__main__":
    run_main(main)
