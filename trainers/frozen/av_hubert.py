"""The audio branch of AV-HuBERT base: its frozen first layers, and the last ones to be trained.

Log power of 26 mel bands, 25 ms windows every 10 ms, four joined: 104 numbers per video frame, each
frame brought to mean 0 and deviation 1. A projection, zeros where the pictures' features would be,
a layer norm over both, a second projection, positions by a wide grouped convolution, and 12 layers
that normalize before attention and before the feed-forward part. Dropout is left out.

`AvHubertFront` is all of that up to some layer and is frozen; `AvHubertLayers` is the rest.

Shape suffixes: N samples, T video frames, B clips, D = 768.
Source: Shi et al., "Learning Audio-Visual Speech Representation by Masked Multimodal Cluster
Prediction" (ICLR 2022); names and shapes as in the official file base_lrs3_iter5.pt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.judge.syncnet.mfcc import log_bands
from pipeline.tables.rows import SAMPLES_PER_FRAME
from trainers.frozen.stand_ins import STAND_IN

STACKED = 4
"""Windows of 10 ms in a video frame."""
SOUND_WIDTH = 104
WIDTH = 768
FULL_SCALE = 32768
CONTEXT_FRAMES = 12
"""Frames on either side that the trained layers see: one second in all. Ours: the paper is
silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AvHubertSize:
    """All that decides names and shapes. The defaults are those of the official base model."""

    width: int = WIDTH
    heads: int = 12
    hidden: int = 3072
    layers: int = 12
    position_kernel: int = 128
    position_groups: int = 16


BASE = AvHubertSize()
SMALL = AvHubertSize(hidden=192, position_kernel=16)
"""Of the stand-in: as wide, with as many layers, and a third of the weights."""


class AvHubertLayer(nn.Module):
    """Self-attention and feed-forward, each behind a layer norm."""

    def __init__(self, size: AvHubertSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.self_attn = nn.ModuleDict(
            {f"{name}_proj": nn.Linear(size.width, size.width) for name in ("k", "v", "q", "out")}
        )
        self.self_attn_layer_norm = nn.LayerNorm(size.width)
        self.fc1 = nn.Linear(size.width, size.hidden)
        self.fc2 = nn.Linear(size.hidden, size.width)
        self.final_layer_norm = nn.LayerNorm(size.width)

    def forward(self, states_BTD: Tensor) -> Tensor:
        """Return the states behind the layer, (B, T, D)."""
        states_BTD = states_BTD + self._attended(self.self_attn_layer_norm(states_BTD))
        hidden = functional.gelu(self.fc1(self.final_layer_norm(states_BTD)))
        out: Tensor = states_BTD + self.fc2(hidden)
        return out

    def _attended(self, states_BTD: Tensor) -> Tensor:
        query, key, value = (
            self.self_attn[f"{name}_proj"](states_BTD).unflatten(-1, (self.heads, -1))
            for name in ("q", "k", "v")
        )
        mixed = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        attended: Tensor = self.self_attn["out_proj"](mixed.transpose(1, 2).flatten(2))
        return attended


class AvHubertLayers(nn.Module):
    """The layers behind the frozen ones and the norm at the end: trained with the diffusion."""

    def __init__(self, frozen_layers: int, size: AvHubertSize = BASE) -> None:
        """Make layers `frozen_layers` to the last, under their official numbers."""
        super().__init__()
        numbers = range(frozen_layers, size.layers)
        self.layers = nn.ModuleDict({str(number): AvHubertLayer(size) for number in numbers})
        self.layer_norm = nn.LayerNorm(size.width)

    def forward(self, states_BTD: Tensor) -> Tensor:
        """Return what AV-HuBERT gives, (B, T, D)."""
        for layer in self.layers.values():
            states_BTD = layer(states_BTD)
        normed: Tensor = self.layer_norm(states_BTD)
        return normed


class AvHubertFront(nn.Module):
    """The frozen front end: sound to the states behind layer `frozen_layers`, 25 per second."""

    num_layers: int = 1
    width: int = WIDTH

    def __init__(
        self, frozen_layers: int, name: str, sha256: Mapping[str, str], size: AvHubertSize = BASE
    ) -> None:
        """Initialize with random weights.

        Args:
            name: for logs, metrics and bundles; starts with `stand-in:` if they stay random.
            sha256: digest of the weights file, by name.
        """
        super().__init__()
        self.name, self.sha256, self.size = name, dict(sha256), size
        self.audio_proj = nn.Linear(SOUND_WIDTH, size.width)
        self.joined_norm = nn.LayerNorm(2 * size.width)
        self.joined_proj = nn.Linear(2 * size.width, size.width)
        self.positions = nn.Conv1d(
            size.width,
            size.width,
            size.position_kernel,
            padding=size.position_kernel // 2,
            groups=size.position_groups,
        )
        self.layers = nn.ModuleDict({str(n): AvHubertLayer(size) for n in range(frozen_layers)})

    @property
    def is_stand_in(self) -> bool:
        """Whether the weights are random."""
        return self.name.startswith(STAND_IN)

    @property
    def frozen_layers(self) -> int:
        """Layers in front of the trained ones."""
        return len(self.layers)

    def forward(self, sound_BTK: Tensor) -> Tensor:
        """Return the states (B, T, D) of stacked filter banks (B, T, 104)."""
        audio_BTD = self.audio_proj(sound_BTK)
        both = torch.cat([audio_BTD, torch.zeros_like(audio_BTD)], dim=-1)
        states_BTD: Tensor = self.joined_proj(self.joined_norm(both))
        moved = self.positions(states_BTD.transpose(1, 2))[..., : sound_BTK.shape[1]]
        states_BTD = states_BTD + functional.gelu(moved).transpose(1, 2)
        for layer in self.layers.values():
            states_BTD = layer(states_BTD)
        return states_BTD

    @torch.inference_mode()
    def features(self, clips: Sequence[NDArray[Any]], chunks_at_once: int = 16) -> list[Tensor]:
        """Return the states (T, 1, D) of whole clips, float32, one per frame of 640 samples.

        Args:
            clips: 16 kHz mono, int16 or float with full scale 1.
        """
        weight = self.audio_proj.weight
        sounds = [torch.from_numpy(stacked_filter_banks(clip)) for clip in clips]
        return [
            self(sound[None].to(weight.device, weight.dtype))[0, :, None].float()
            for sound in sounds
        ]

    def windows(self, features_T1D: Tensor, start_frame: int, num_frames: int = 16) -> Tensor:
        """Return the windows (F, 25, D) of frames; beyond the ends the outermost is repeated."""
        return av_hubert_windows(features_T1D, start_frame, num_frames)


def av_hubert_windows(features_T1D: Tensor, start_frame: int, num_frames: int = 16) -> Tensor:
    """Return the windows (F, 25, D) of frames; beyond the ends the outermost is repeated."""
    around = torch.arange(-CONTEXT_FRAMES, CONTEXT_FRAMES + 1)
    frames = torch.arange(start_frame, start_frame + num_frames)[:, None] + around
    return features_T1D[frames.clamp(0, len(features_T1D) - 1), 0]


def stacked_filter_banks(audio_N: NDArray[Any]) -> NDArray[np.float32]:
    """Return (T, 104): the log filter banks of each video frame, mean 0 and deviation 1.

    Frame f holds the windows that begin 0, 10, 20 and 30 ms behind its start; a last one that
    lacks windows is filled with zeros before it is normalized.

    Args:
        audio_N: 16 kHz mono, int16 or float with full scale 1; not empty.
    """
    frames = -(-len(audio_N) // SAMPLES_PER_FRAME)
    scale = 1 if audio_N.dtype == np.int16 else FULL_SCALE
    bands = log_bands(audio_N * scale).astype(np.float32)[: STACKED * frames]
    padded = np.pad(bands, ((0, STACKED * frames - len(bands)), (0, 0)))
    sound = torch.from_numpy(padded.reshape(frames, SOUND_WIDTH))
    return np.asarray(functional.layer_norm(sound, (SOUND_WIDTH,)).numpy())
