"""Golden G1: SyncNet on deterministic weights, as the published code answered.

`plain` weights follow rule R1; the zeros beyond the ends win there. `tweaked` ones are scaled and
shifted so that the minimum lies inside.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.judge.syncnet.judge import SyncNetJudge
from pipeline.judge.syncnet.network import SyncNet
from tests.golden_rules import rule_frames, rule_state

GOLDEN = Path(__file__).parents[3] / "golden"
KEYS: dict[str, list[int]] = dict(json.loads((GOLDEN / "g1_syncnet_keys.json").read_text())["keys"])
RESULTS: Mapping[str, Any] = json.loads((GOLDEN / "g1_syncnet_results.json").read_text())
TOLERANCE = {"tweaked": 1e-3, "plain": 2e-2}


def arrays(name: str) -> dict[str, NDArray[Any]]:
    """Everything in one golden file."""
    with np.load(GOLDEN / f"{name}.npz") as stored:
        return dict(stored)


@cache
def frames() -> NDArray[np.uint8]:
    """(40, 224, 224, 3), BGR."""
    return rule_frames(40, 224, 224, 0)


@cache
def sound() -> NDArray[np.int16]:
    """1.6 s = 40 frames."""
    return np.asarray(arrays("g1_inputs")["audio_int16"])


def state(variant: str) -> dict[str, Tensor]:
    """The deterministic weights, under the published keys."""
    weights = rule_state(KEYS)
    if variant == "tweaked":
        weights["netcnnlip.0.weight"] /= 128
        weights["netcnnaud.0.weight"] /= 16
        weights["netfclip.3.bias"] += 8
        weights["netfcaud.3.bias"] += 8
    return weights


@cache
def network(variant: str) -> SyncNet:
    """The published network with those weights."""
    built = SyncNet()
    built.load_state_dict(state(variant))
    return built.eval()


@cache
def judge(variant: str = "tweaked", **options: Any) -> SyncNetJudge:
    """A judge with those weights."""
    return SyncNetJudge(network(variant), **options)


@cache
def embedded(variant: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the judge makes of the golden frames and sound."""
    return judge(variant).embed(iter(frames()), sound())


def save_state(path: Path, **changes: Tensor) -> Path:
    """A weights file as it is published."""
    torch.save({**state("tweaked"), **changes}, path)
    return path
