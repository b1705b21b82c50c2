"""What the DVC stages `silent_lip` and `stabilized` do: they differ in their section alone."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.atomic import copy_file, replacing_folder, write_json, write_text
from pipeline.engine.optional_stages import is_wanted, leave_untrained
from pipeline.params.neighbours import SilentLipParams, StabilizedParams, TalkerProfile
from trainers.data.shard_urls import SplitUrls, split_urls
from trainers.loop.fit import FitResult
from trainers.loop.learning_curves import write_learning_curves
from trainers.loop.run_options import fix_cpu_threads, loader_workers, run_options
from trainers.processes.launch import launch
from trainers.processes.world import World
from trainers.systems.stabilized.bundle import TalkerNetworks, save_bundle
from trainers.systems.stabilized.model_facts import read_facts
from trainers.systems.stabilized.task import TalkerTask
from trainers.systems.stabilized.training import (
    HEARD_WITH,
    bundle_facts,
    run_folder,
    train,
)
from trainers.talking_face.model_folders import FACTS_FILE

MODELS, REPORTS = Path("models"), Path("reports")
CPU_THREADS = 1
"""As in train_ldm: beside the thread that reads ahead, two take longer."""
MODEL = "model"
NO_CURVE = "step\n"
"""The curve of a stage that is off: no row."""


def train_stage(
    stage: str, section: SilentLipParams | StabilizedParams, wanted: Mapping[str, str]
) -> None:
    """Train what the section says into models/<stage>, or leave word that the stage is off.

    Args:
        wanted: `run` of the optional stages in params.yaml, by stage.
    """
    out, report, curve = MODELS / stage, REPORTS / f"{stage}.json", REPORTS / f"{stage}_curve.csv"
    if not is_wanted(stage, wanted):
        leave_untrained(stage, out, report)
        write_text(curve, NO_CURVE)
        return
    profile = section.chosen
    shards = SplitUrls(train=split_urls("train"), validation=split_urls("val"))
    folder = run_folder(stage, profile, shards)
    config = {
        "stage": stage,
        "profile": profile.model_dump(),
        "shards": asdict(shards),
        "folder": str(folder),
    }
    outcome = launch(_run, config, folder)
    with replacing_folder(out) as part:
        for file in sorted((folder / MODEL).iterdir()):
            copy_file(file, part / file.name)
    write_learning_curves(folder / "metrics.jsonl", curve)
    named = {"profile": section.profile, "stand_ins": read_facts(out / FACTS_FILE)["stand_ins"]}
    write_json(report, {"trained": True, **named, **outcome})


def _run(config: Mapping[str, Any], world: World, stop_file: Path | None) -> dict[str, Any]:
    """Train on this rank; rank 0 leaves all in the run's folder, which all see."""
    fix_cpu_threads(world.device, CPU_THREADS)
    profile = TalkerProfile.model_validate(config["profile"])
    shards, folder = SplitUrls(**config["shards"]), Path(config["folder"])
    options, workers = run_options(folder, stop_file), loader_workers(world, profile.batch)
    task, outcome = train(config["stage"], profile, shards, world, options, folder, workers)
    world.by_first(partial(save_model, folder / MODEL, task, outcome))
    return asdict(outcome)


def save_model(folder: Path, task: TalkerTask, outcome: FitResult) -> None:
    """Write the bundle of a task that is trained."""
    parts = task.parts
    sync = parts.avsyncnet.network
    networks = TalkerNetworks(task.generator, sync.audio_tower, sync.config, task.closer)
    heard_with = {HEARD_WITH: dict(parts.avsyncnet.sha256)}
    save_bundle(folder, networks, bundle_facts(task, outcome), heard_with)
