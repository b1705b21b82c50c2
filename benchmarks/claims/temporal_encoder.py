"""A small video encoder for TREPA where VideoMAE's weights are absent, trained on the demo films.

It learns to tell what was done to a window of frames: nothing, frames shuffled, one frame held,
brightness and place flickering. So its features hold what TREPA wants of them, how pictures follow
one another, as far as these films can teach it.

Shape suffixes: B clips, F frames, C channels, H and W pixels, D features.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from trainers.data.index import index_shards
from trainers.data.indexed_clips import decode_indexed
from trainers.data.shard_urls import shard_urls

FILE = "temporal_encoder.safetensors"
"""Among the files of its run."""
FEATURES = 64
PICTURE_PX = 32
FRAMES = 16
KINDS = 4
"""As filmed, shuffled, held, flickering."""
STEPS, QUICK_STEPS = 150, 3
BATCH = 16
LEARNING_RATE = 1e-3
HELD_OUT = 64
"""Windows of the validation films on which its accuracy is measured."""


class TemporalEncoder(nn.Module):
    """Three-dimensional convolutions; the mean over place and time ends it."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, FEATURES)
        self.layers = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=(1, 2, 2), padding=1) for a, b in pairwise(widths)
        )
        self.norm = nn.LayerNorm(FEATURES)
        self.head = nn.Linear(FEATURES, KINDS)

    def forward(self, clip_B3FHW: Tensor) -> Tensor:
        """Return features (B, D) of pictures in 0 ... 1, of any size."""
        batch, _, frames = clip_B3FHW.shape[:3]
        small = functional.adaptive_avg_pool3d(clip_B3FHW, (frames, PICTURE_PX, PICTURE_PX))
        x = 2 * small - 1
        for layer in self.layers:
            x = functional.silu(layer(x))
        features: Tensor = self.norm(x.mean(dim=(2, 3, 4)))
        assert len(features) == batch
        return features


def run(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train the encoder and return its accuracy on held-out windows; chance is 0.25."""
    seed = order["facts"]["profile"]["seed"]
    steps = order["facts"]["profile"]["steps"]
    torch.manual_seed(seed)
    network, rng = TemporalEncoder(), np.random.default_rng(seed)
    films = _films(order["train"])
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    curve = []
    for step in range(1, steps + 1):
        pictures, kinds = _windows(films, BATCH, rng)
        loss = functional.cross_entropy(network.head(network(pictures)), kinds)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        curve.append({"step": step, "train/loss": float(loss.detach())})
    accuracy = _accuracy(network, _films(order["validation"]))
    save_file(dict(network.state_dict()), folder / FILE)
    return {"steps": steps, "metrics": {"kind_accuracy": accuracy}, "curve": curve}


def _films(folder: str) -> list[NDArray[np.uint8]]:
    index = index_shards(shard_urls(folder), FRAMES)
    return [decode_indexed(index, number, 2 * PICTURE_PX).frames for number in range(len(index))]


def _accuracy(network: TemporalEncoder, films: list[NDArray[np.uint8]]) -> float:
    pictures, kinds = _windows(films, HELD_OUT, np.random.default_rng(0))
    with torch.no_grad():
        found = network.head(network(pictures)).argmax(dim=1)
    return float((found == kinds).float().mean())


def _windows(
    films: list[NDArray[np.uint8]], count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return windows (B, 3, F, H, W) in 0 ... 1 and what was done to each (B,)."""
    kinds = np.arange(count) % KINDS
    made = []
    for kind in kinds.tolist():
        film = films[int(rng.integers(len(films)))]
        start = int(rng.integers(len(film) - FRAMES + 1))
        window_FCHW = film[start : start + FRAMES].astype(np.float32) / 255
        made.append(_spoiled(window_FCHW, kind, rng))
    stacked = torch.from_numpy(np.stack(made)).transpose(1, 2)
    return stacked.contiguous(), torch.from_numpy(kinds)


def _spoiled(
    window_FCHW: NDArray[np.float32], kind: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    if kind == 1:
        return window_FCHW[rng.permutation(FRAMES)]
    if kind == 2:
        return np.repeat(window_FCHW[:1], FRAMES, axis=0)
    if kind == 3:
        light_F = 1 + rng.normal(0, 0.03, FRAMES).astype(np.float32)
        shifted = [
            np.roll(one, rng.integers(-1, 2, 2).tolist(), axis=(1, 2)) for one in window_FCHW
        ]
        return np.asarray(np.stack(shifted) * light_F[:, None, None, None], np.float32)
    return window_FCHW
