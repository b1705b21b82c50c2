"""One run of StableSyncNet: training by the loop, then the numbers of its validation curve."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.claims.runs import SUPERVISING_SEED, SYNCNET_WEIGHTS
from benchmarks.claims.wav2lip_syncnet import Wav2LipSyncNet
from pipeline.params.training import SyncnetProfile
from trainers.data.shard_urls import SplitUrls, shard_urls
from trainers.loop.fit import fit
from trainers.processes.world import World
from trainers.systems.stable_syncnet.files import save_safetensors
from trainers.systems.stable_syncnet.task import SyncNetTask
from trainers.systems.stable_syncnet.training import (
    index_splits,
    network_config,
    new_task,
    training_source,
    validation_of,
)

LEFT_BELOW = 0.68
"""Validation loss from which on a run has left 0.693."""
Curve = list[dict[str, float]]
Result = dict[str, Any]


def run(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train what `run.json` says and return the result's numbers."""
    facts = order["facts"]
    profile = SyncnetProfile.model_validate(facts["profile"])
    shards = SplitUrls(train=shard_urls(order["train"]), validation=shard_urls(order["validation"]))
    learn, measure = index_splits(profile, shards)
    task = _task(profile, facts["architecture"])
    validation = validation_of(profile, measure, World())
    outcome = fit(
        task, training_source(profile, learn), profile.fit, folder / "training", validation
    )
    if profile.fit.seed == SUPERVISING_SEED and not facts["architecture"]:
        save_safetensors(folder / SYNCNET_WEIGHTS, task.syncnet, {"steps": outcome.step})
    found = result(outcome.step, {}, folder / "training", task.syncnet)
    return {
        **found,
        "metrics": curve_metrics(found["curve"], embedded_windows(profile)),
        "train_clips": len(learn),
        "train_seconds": float(learn.num_frames.sum()) / 25,
    }


def _task(profile: SyncnetProfile, architecture: str) -> SyncNetTask:
    """Return the task; another network is drawn from the same seed, right after ours."""
    task = new_task(profile)
    if architecture == "wav2lip":
        task.syncnet = Wav2LipSyncNet(network_config(profile))
    return task


def embedded_windows(profile: SyncnetProfile) -> int:
    """Return how many pictures a step embeds."""
    return profile.batch * (profile.windows if profile.item == "windows" else 1)


def result(steps: int, metrics: Mapping[str, float], training: Path, network: nn.Module) -> Result:
    """Return what every run writes of its training: in `training` lies the loop's log."""
    return {
        "steps": steps,
        "metrics": dict(metrics),
        "curve": read_curve(training / "metrics.jsonl"),
        "parameters": sum(one.numel() for one in network.parameters()),
    }


def read_curve(path: Path) -> Curve:
    """Return one entry per logged step, without the parts' names in front."""
    steps: dict[int, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        entry = steps.setdefault(values["step"], {})
        entry |= {name: value for name, value in values.items() if value is not None}
    return [steps[step] for step in sorted(steps)]


def curve_metrics(curve: Curve, windows_per_step: int) -> dict[str, float]:
    """Return the numbers of `METRICS` that a validation curve has."""
    points = [row for row in curve if "validation/loss" in row]
    losses = [row["validation/loss"] for row in points]
    left = next((row["step"] for row in points if row["validation/loss"] < LEFT_BELOW), None)
    at = points[-1]["step"] if left is None else left
    return {
        "loss": losses[-1],
        "best_loss": min(losses),
        "accuracy": points[-1]["validation/accuracy"],
        "ranked": points[-1]["validation/ranked"],
        "left_at_step": at,
        "left_at_windows": at * windows_per_step,
        "roughness": roughness(losses[len(losses) // 2 :]),
    }


def roughness(values: Sequence[float]) -> float:
    """Return the mean size of the second differences; 0 for fewer than three values."""
    bends = [abs(c - 2 * b + a) for a, b, c in zip(values, values[1:], values[2:], strict=False)]
    return statistics.fmean(bends) if bends else 0.0
