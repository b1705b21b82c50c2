"""One run of SyncDiff: training, then held-out clips dubbed frame by frame."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.claims.dub_scores import drift_numbers, picture_numbers
from benchmarks.claims.listening import listening
from benchmarks.claims.syncnet_run import result
from pipeline.params.syncdiff import SyncDiffProfile
from trainers.data.shard_urls import shard_urls
from trainers.loop.fit import RunOptions
from trainers.processes.world import World
from trainers.systems.syncdiff.bundle import load_bundle, save_bundle
from trainers.systems.syncdiff.training import SyncDiffShards, bundle_facts, train

BUNDLE = "bundle"


def run(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train what `run.json` says, dub held-out clips and return the result's numbers."""
    profile = SyncDiffProfile.model_validate(order["facts"]["profile"])
    shards = SyncDiffShards(
        train=shard_urls(order["train"]), validation=shard_urls(order["validation"])
    )
    training = folder / "training"
    task, outcome = train(profile, shards, World(), RunOptions(), training)
    save_bundle(training / BUNDLE, task.network, bundle_facts(task, outcome))
    model = load_bundle(training / BUNDLE)
    heard = listening(model, order, folder, {}, (picture_numbers, drift_numbers))
    return result(outcome.step, {**outcome.metrics, **heard}, training, task.network)
