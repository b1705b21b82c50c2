"""The DVC stage `train_ldm`: pre-flight, training, weights and curve of the diffusion model.

data/shards/{train,val} + models/train_syncnet -> models/train_ldm, reports/train_ldm.json and
_curve.csv
"""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.atomic import copy_file, write_json
from pipeline.engine.command import DATA, run_main
from pipeline.errors import ParamsError
from pipeline.params.curation import load_params
from pipeline.params.training import FeaturesParams, LdmProfile, TrainLdmParams
from trainers.data.clip_use import require_whole_clips
from trainers.data.shard_urls import split_urls
from trainers.loop.learning_curves import write_learning_curves
from trainers.loop.run_options import fix_cpu_threads, loader_workers, run_options
from trainers.processes.launch import launch
from trainers.processes.world import World
from trainers.sidecar.layout import NONE
from trainers.sidecar.reader import features_for_loader
from trainers.systems.latentsync.bundle import UNET_FILE, read_facts, save_bundle
from trainers.systems.latentsync.frozen_networks import require_known_networks
from trainers.systems.latentsync.latent_cache.admission import with_latents
from trainers.systems.latentsync.preflight.preflight import PlannedLdmRun, preflight
from trainers.systems.latentsync.training import LdmShards, bundle_facts, run_folder, train

STAGE = "train_ldm"
OUT = Path("models") / STAGE
REPORTS = Path("reports")
CPU_THREADS = 1
"""Beside the thread that reads ahead two take longer: 0.56 s a step of `tiny`, one 0.43 s."""
MODEL = "model"
PREFLIGHT = "preflight.json"
FROM_PROFILE = "profile:"
FEATURES = DATA / "features"


def run(config: Mapping[str, Any], world: World, stop_file: Path | None) -> dict[str, Any]:
    """Look first, then train, on this rank; rank 0 leaves all in the run's folder, which all see.

    Every rank returns after the model is whole.

    Raises:
        PreflightError: a check says that training would be in vain.
    """
    fix_cpu_threads(world.device, CPU_THREADS)
    profile = LdmProfile.model_validate(config["profile"])
    shards, folder = LdmShards(**config["shards"]), Path(config["folder"])
    features = FeaturesParams.model_validate(config["features"])
    speech = features_for_loader(features, FEATURES, profile.whisper)
    prepare = with_latents(speech, features, FEATURES, profile)
    plan = PlannedLdmRun(
        profile=profile,
        shards=shards,
        folder=folder,
        prepare=prepare,
        overfit_steps=config["preflight_steps"],
        name=config["name"],
    )
    _run_preflight(plan, world)
    options = run_options(folder, stop_file)
    workers = loader_workers(world, profile.batch)
    task, outcome = train(profile, shards, world, options, folder, prepare, workers)
    facts = bundle_facts(task, outcome)
    world.by_first(partial(save_bundle, folder / MODEL, task.unet, facts))
    return asdict(outcome)


def _run_preflight(plan: PlannedLdmRun, world: World) -> None:
    found = preflight(plan, world)
    world.by_first(lambda: write_json(plan.folder / PREFLIGHT, found.content()))
    found.require()


def with_start(
    section: TrainLdmParams, name: str, shards: LdmShards, asked_by: tuple[str, ...] = ()
) -> LdmProfile:
    """Return a profile whose `start: profile:<other>` is the file that the other one's run left.

    Raises:
        ParamsError: no such profile, profiles that start from each other, one not trained yet, or
            an unknown network.
    """
    profile = section.profiles[name]
    require_known_networks(profile, f"params.yaml: train_ldm.profiles.{name}")
    if not profile.start.startswith(FROM_PROFILE):
        return profile
    key, other = f"train_ldm.profiles.{name}.start", profile.start.removeprefix(FROM_PROFILE)
    if other not in section.profiles:
        raise ParamsError(f"{key}: {other!r} is none of {', '.join(section.profiles)}")
    if other in (name, *asked_by):
        raise ParamsError(f"{key}: {other!r} would start from itself")
    source = with_start(section, other, shards, (*asked_by, name))
    weights = run_folder(source, shards) / MODEL / UNET_FILE
    if not weights.exists():
        fix = f"run `dvc exp run -S train_ldm.profile={other}` first, or name a file"
        raise ParamsError(
            f"{key}: {other!r} has not been trained on these shards, files and features; {fix}"
        )
    return profile.model_copy(update={"start": os.path.relpath(weights)})


def main() -> None:
    """`python -m trainers.train_ldm`, called by dvc.yaml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    params = load_params()
    section = params.train_ldm
    shards = LdmShards(
        train=split_urls("train"),
        validation=split_urls("val"),
        sidecar=params.features.whisper != NONE,
        latents=params.features.latents != NONE,
    )
    profile = with_start(section, section.profile, shards)
    stored = "features.whisper" if shards.sidecar else "features.latents"
    whole = shards.sidecar or shards.latents
    require_whole_clips(profile.data, whole, f"train_ldm.profiles.{section.profile}", stored)
    folder = run_folder(profile, shards)
    config = {
        "name": section.profile,
        "preflight_steps": section.preflight_steps,
        "profile": profile.model_dump(),
        "features": params.features.model_dump(),
        "shards": asdict(shards),
        "folder": str(folder),
    }
    try:
        outcome = launch(run, config, folder)
    finally:  # also what the pre-flight found when it stops the run
        if (folder / PREFLIGHT).exists():
            copy_file(folder / PREFLIGHT, OUT / PREFLIGHT)
    for file in sorted((folder / MODEL).iterdir()):
        copy_file(file, OUT / file.name)
    write_learning_curves(folder / "metrics.jsonl", REPORTS / f"{STAGE}_curve.csv")
    named = {"profile": section.profile, "stand_ins": read_facts(OUT)["stand_ins"]}
    write_json(REPORTS / f"{STAGE}.json", {**named, **outcome})


if __name__ == "__main__":
    run_main(main)
