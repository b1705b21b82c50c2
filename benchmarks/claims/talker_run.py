"""One run of a generator of Yaman et al.: G_S for the others, G_L with what its mouths follow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.claims.dub_scores import (
    MouthShares,
    picture_numbers,
    reference_numbers,
    silence_numbers,
)
from benchmarks.claims.listening import listening
from benchmarks.claims.runs import SILENT_LIP_MODEL
from benchmarks.claims.syncnet_run import result
from pipeline.faces.backend import FaceBackend
from pipeline.faces.open import open_backend
from pipeline.params.curation import FacesParams
from pipeline.params.neighbours import TalkerProfile
from trainers.data.shard_urls import SplitUrls, shard_urls
from trainers.loop.fit import RunOptions
from trainers.processes.world import World
from trainers.systems.stabilized.bundle import load_bundle
from trainers.systems.stabilized.stage import save_model
from trainers.systems.stabilized.training import train


def run(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train what `run.json` says and return the result's numbers."""
    stage = order["facts"]["system"]
    profile = TalkerProfile.model_validate(order["facts"]["profile"])
    profile = profile.model_copy(update=dict(order["weights"]))
    shards = SplitUrls(train=shard_urls(order["train"]), validation=shard_urls(order["validation"]))
    training = folder / "training"
    faces = open_backend(FacesParams())  # if its weights are absent, before anything is trained
    task, outcome = train(stage, profile, shards, World(), RunOptions(), training)
    model = (folder if stage == "silent_lip" else training) / SILENT_LIP_MODEL
    save_model(model, task, outcome)
    heard = {} if stage == "silent_lip" else dubs_measured(model, order, folder, faces)
    return result(outcome.step, {**outcome.metrics, **heard}, training, task.generator)


def dubs_measured(
    model: Path, order: Mapping[str, Any], folder: Path, faces: FaceBackend
) -> dict[str, float]:
    """Dub held-out clips with a trained generator and return what its mouths do."""
    further = (picture_numbers, reference_numbers, silence_numbers, MouthShares(faces))
    return with_copies(listening(load_bundle(model), order, folder, {}, further))


def with_copies(found: Mapping[str, float]) -> dict[str, float]:
    """Add `copies`: 1 if the mouths follow the reference's more than that of the sound's film."""
    if not {"reference_r", "foreign_r"} <= set(found):
        return dict(found)
    return {**found, "copies": float(found["reference_r"] > found["foreign_r"])}
