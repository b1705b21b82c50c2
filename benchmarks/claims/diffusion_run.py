"""One run of the diffusion model: training by the loop, then what its mouths follow."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from benchmarks.claims.listening import listening
from benchmarks.claims.syncnet_run import result
from benchmarks.claims.temporal_encoder import TemporalEncoder
from pipeline.params.training import LdmProfile
from trainers.data.shard_urls import shard_urls
from trainers.frozen.registry import FrozenNetwork
from trainers.loop.fit import RunOptions
from trainers.processes.world import World
from trainers.systems.latentsync.bundle import load_bundle, save_bundle
from trainers.systems.latentsync.frozen_networks import FrozenNetworks, load_frozen_networks
from trainers.systems.latentsync.training import LdmShards, bundle_facts, train

BUNDLE = "bundle"
ENCODER = "trained-on-demo:temporal-encoder"
"""Name of the encoder in place of VideoMAE."""
WITHOUT_GUIDANCE = {"guidance": 1.0}
"""Guidance moves the mouth farther: the claims are about what training does."""


def run(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train what `run.json` says, dub held-out clips and return the result's numbers."""
    profile = LdmProfile.model_validate(order["facts"]["profile"])
    weights = order["weights"]
    profile = profile.model_copy(update={"syncnet": weights.get("syncnet", profile.syncnet)})
    shards = LdmShards(train=shard_urls(order["train"]), validation=shard_urls(order["validation"]))
    networks = frozen_networks(profile, weights.get("temporal_encoder", ""))
    training = folder / "training"
    task, outcome = train(profile, shards, World(), RunOptions(), training, networks=networks)
    save_bundle(training / BUNDLE, task.unet, bundle_facts(task, outcome))
    heard = listening(load_bundle(training / BUNDLE), order, folder, WITHOUT_GUIDANCE)
    return result(outcome.step, {**outcome.metrics, **heard}, training, task.unet)


def frozen_networks(profile: LdmProfile, encoder: str) -> FrozenNetworks:
    """Return what the profile names, with the bench's own encoder where TREPA is on."""
    if not encoder:
        return load_frozen_networks(profile)
    others = load_frozen_networks(profile.model_copy(update={"trepa_weight": 0.0}))
    return replace(others, videomae=load_encoder(Path(encoder)))


def load_encoder(path: Path) -> FrozenNetwork[TemporalEncoder]:
    """Return the frozen encoder under the name that says how it came to be."""
    network = TemporalEncoder()
    network.load_state_dict(load_file(path))
    return FrozenNetwork(ENCODER, network.requires_grad_(False).eval(), {})
