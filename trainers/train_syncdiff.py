"""The DVC stage `syncdiff`: weights and curve of the frame-wise diffusion model. Off by default.

data/shards/{train,val} -> models/syncdiff, reports/syncdiff.json and _curve.csv
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.atomic import copy_file, replacing_folder, write_json, write_text
from pipeline.engine.command import DATA, run_main
from pipeline.engine.optional_stages import is_wanted, leave_untrained
from pipeline.params.curation import load_params
from pipeline.params.syncdiff import SyncDiffProfile
from pipeline.params.training import FeaturesParams
from trainers.data.clip_use import require_whole_clips
from trainers.data.shard_urls import split_urls
from trainers.data.window_items import Prepare
from trainers.frozen.av_hubert_files import is_av_hubert
from trainers.loop.learning_curves import write_learning_curves
from trainers.loop.run_options import fix_cpu_threads, loader_workers, run_options
from trainers.processes.launch import launch
from trainers.processes.world import World
from trainers.sidecar.front_ends import AV_HUBERT
from trainers.sidecar.layout import NONE
from trainers.sidecar.reader import stored_features
from trainers.systems.syncdiff.bundle import save_bundle
from trainers.systems.syncdiff.items import front_of
from trainers.systems.syncdiff.model_facts import read_facts
from trainers.systems.syncdiff.training import (
    STAGE,
    SyncDiffShards,
    bundle_facts,
    run_folder,
    train,
)
from trainers.talking_face.model_folders import FACTS_FILE

OUT = Path("models") / STAGE
REPORT = Path("reports") / f"{STAGE}.json"
CURVE = Path("reports") / f"{STAGE}_curve.csv"
NO_CURVE = "step\n"
CPU_THREADS = 1
"""As in train_ldm: beside the thread that reads ahead, two take longer."""
MODEL = "model"
FEATURES = DATA / "features"


def run(config: Mapping[str, Any], world: World, stop_file: Path | None) -> dict[str, Any]:
    """Train on this rank; rank 0 leaves all in the run's folder, which all see.

    Every rank returns after the model is whole.
    """
    fix_cpu_threads(world.device, CPU_THREADS)
    profile = SyncDiffProfile.model_validate(config["profile"])
    shards, folder = SyncDiffShards(**config["shards"]), Path(config["folder"])
    features = FeaturesParams.model_validate(config["features"])
    prepare = _stored(features, front_of(profile))
    options, workers = run_options(folder, stop_file), loader_workers(world, profile.batch)
    task, outcome = train(profile, shards, world, options, folder, prepare, workers)
    facts = bundle_facts(task, outcome)
    world.by_first(partial(save_bundle, folder / MODEL, task.network, facts))
    return asdict(outcome)


def _stored(features: FeaturesParams, front: str) -> Prepare | None:
    """Return what reads the stored features of a front end; None if they are made while reading."""
    if not _is_stored(features, front):
        return None
    return stored_features(FEATURES, AV_HUBERT, front)


def _is_stored(features: FeaturesParams, front: str) -> bool:
    return features.av_hubert != NONE and is_av_hubert(front)


def main() -> None:
    """`python -m trainers.train_syncdiff`, called by dvc.yaml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    params = load_params()
    section, features = params.syncdiff, params.features
    if not is_wanted(STAGE, {STAGE: section.run}):
        leave_untrained(STAGE, OUT, REPORT)
        write_text(CURVE, NO_CURVE)
        return
    profile = section.chosen
    shards = SyncDiffShards(
        train=split_urls("train"),
        validation=split_urls("val"),
        sidecar=_is_stored(features, front_of(profile)),
    )
    named = f"syncdiff.profiles.{section.profile}"
    require_whole_clips(profile.data, shards.sidecar, named, "features.av_hubert")
    folder = run_folder(profile, shards)
    config = {
        "profile": profile.model_dump(),
        "features": features.model_dump(),
        "shards": asdict(shards),
        "folder": str(folder),
    }
    outcome = launch(run, config, folder)
    with replacing_folder(OUT) as out:  # what a stage that is off left there is gone
        for file in sorted((folder / MODEL).iterdir()):
            copy_file(file, out / file.name)
    write_learning_curves(folder / "metrics.jsonl", CURVE)
    said = {"profile": section.profile, "stand_ins": read_facts(OUT / FACTS_FILE)["stand_ins"]}
    write_json(REPORT, {"trained": True, **said, **outcome})


if __name__ == "__main__":
    run_main(main)
