"""The small golden U-Net of G5: its weights by rule R1, its inputs, its recorded answers."""

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conftest import ROOT
from tests.golden_rules import rule_state
from trainers.systems.latentsync.configs import TINY, Motion, UNetConfig
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.published_keys import MOTION, own_name

GOLDEN = ROOT / "tests" / "golden"


def golden_json(name: str) -> Any:
    return json.loads((GOLDEN / f"g5_{name}.json").read_text())


def golden_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Published names -> shapes, of the full (stage2) or the small network."""
    return {key: tuple(shape) for key, shape in golden_json(f"unet_{name}_keys")["keys"]}


def golden_output(name: str) -> Tensor:
    with np.load(GOLDEN / "g5_unet_small_outputs.npz") as outputs:
        return torch.from_numpy(outputs[name])


def public_rule_state() -> dict[str, Tensor]:
    """Weights under their published names; position tables are no weights and not by rule."""
    shapes = golden_shapes("small")
    return rule_state({key: shape for key, shape in shapes.items() if not key.endswith(".pe")})


def rule_network(motion: Motion = "all", max_frames: int = TINY.max_frames) -> LatentSyncUNet:
    network = LatentSyncUNet(UNetConfig(widths=TINY.widths, motion=motion, max_frames=max_frames))
    state = {own_name(key): tensor for key, tensor in public_rule_state().items()}
    if motion == "none":
        state = {key: tensor for key, tensor in state.items() if MOTION not in key}
    left = network.load_state_dict(state, strict=False)
    assert not left.unexpected_keys
    assert all(key.endswith(".pe") for key in left.missing_keys)
    return network


def rule_inputs(frames: int, clips: int = 1, edge: int = 16) -> tuple[Tensor, Tensor]:
    """Latents (clips, 13, frames, edge, edge) and audio tokens (clips, frames, 50, 384)."""
    latents = np.random.default_rng(100 + frames).standard_normal((clips, 13, frames, edge, edge))
    audio = np.random.default_rng(200 + frames).standard_normal((clips, frames, 50, 384))
    return torch.from_numpy(latents).float(), torch.from_numpy(audio).float()
