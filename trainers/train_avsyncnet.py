"""The DVC stage `avsyncnet`: the sync network of Yaman et al. Off by default.

data/shards/{train,val} -> models/avsyncnet, reports/avsyncnet.json and _curve.csv
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.atomic import copy_file, replacing_folder, write_json, write_text
from pipeline.engine.command import run_main
from pipeline.engine.optional_stages import is_wanted, leave_untrained
from pipeline.params.curation import Params, load_params
from pipeline.params.neighbours import AvSyncNetProfile
from trainers.data.shard_urls import SplitUrls, split_urls
from trainers.loop.learning_curves import write_learning_curves
from trainers.loop.run_options import fix_cpu_threads, loader_workers, run_options
from trainers.processes.launch import launch
from trainers.processes.world import World
from trainers.systems.avsyncnet.files import save_safetensors
from trainers.systems.avsyncnet.training import STAGE, run_folder, train

OUT = Path("models") / STAGE
REPORT = Path("reports") / f"{STAGE}.json"
CURVE = Path("reports") / f"{STAGE}_curve.csv"
NO_CURVE = "step\n"
"""The curve of a stage that is off: no row."""
WEIGHTS = "avsyncnet.safetensors"
CPU_THREADS = 1
"""As in train_ldm: beside the thread that reads ahead, two take longer."""


def run(config: Mapping[str, Any], world: World, stop_file: Path | None) -> dict[str, Any]:
    """Train on this rank; rank 0 leaves the weights in the run's folder, which all see."""
    fix_cpu_threads(world.device, CPU_THREADS)
    profile = AvSyncNetProfile.model_validate(config["profile"])
    shards, folder = SplitUrls(**config["shards"]), Path(config["folder"])
    options, workers = run_options(folder, stop_file), loader_workers(world, profile.batch)
    task, outcome = train(profile, shards, world, options, folder, workers)
    facts = {"profile": profile.model_dump(), "steps": outcome.step}
    world.by_first(partial(save_safetensors, folder / WEIGHTS, task.syncnet, facts))
    return asdict(outcome)


def main() -> None:
    """`python -m trainers.train_avsyncnet`, called by dvc.yaml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    params = load_params()
    if not is_wanted(STAGE, _wanted(params)):
        leave_untrained(STAGE, OUT, REPORT)
        write_text(CURVE, NO_CURVE)
        return
    section = params.avsyncnet
    shards = SplitUrls(train=split_urls("train"), validation=split_urls("val"))
    folder = run_folder(section.chosen, shards)
    config = {
        "profile": section.chosen.model_dump(),
        "shards": asdict(shards),
        "folder": str(folder),
    }
    outcome = launch(run, config, folder)
    with replacing_folder(OUT) as part:
        copy_file(folder / WEIGHTS, part / WEIGHTS)
    write_learning_curves(folder / "metrics.jsonl", CURVE)
    write_json(REPORT, {"trained": True, "profile": section.profile, **outcome})


def _wanted(params: Params) -> dict[str, str]:
    """Return `run` of the stages that read this one's model, and of itself."""
    sections = {STAGE: params.avsyncnet.run, "silent_lip": params.silent_lip.run}
    return {**sections, "stabilized": params.stabilized.run}


if __name__ == "__main__":
    run_main(main)
