"""Fits one network of the landmark judge: AdamW, one cycle.

This is a loop of its own beside trainers/loop: no checkpoints, one process. The shipped weights are
pinned to it; ported, its rounding would change them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from trainers.systems.landmark_judge.items import ChunkAugmentation, ChunkBatches, visual_std
from trainers.systems.landmark_judge.losses import curve_loss, window_loss
from trainers.systems.landmark_judge.network import LandmarkSyncNet, NetworkConfig
from trainers.systems.landmark_judge.speech_clips import SpeechClip


@dataclass(frozen=True, slots=True)
class FitConfig:
    """All that decides the weights, besides the clips."""

    steps: int = 1000
    batch: int = 8
    frames: int = 58
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    curve_weight: float = 0.3
    """Weight of the loss on the mean curve, beside the one on single windows."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    augmentation: ChunkAugmentation = field(default_factory=ChunkAugmentation)


def fit_network(
    clips: Sequence[SpeechClip],
    config: FitConfig,
    seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> LandmarkSyncNet:
    """Train one network. Same clips, config, seed and machine: same weights, bit for bit."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    chunks = ChunkBatches(clips, config.frames, config.batch, seed, config.augmentation)
    network = LandmarkSyncNet(config.network)
    network.visual_std.copy_(visual_std(clips))
    log_scale = nn.Parameter(torch.tensor(2.3))
    parameters = [*network.parameters(), log_scale]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=0.2
    )
    network.train()
    for step in range(config.steps):
        shape_BTV, mel_BSM = chunks.batch_at(step)
        picture, sound = network.embed_visual(shape_BTV), network.embed_audio(mel_BSM)
        scale = log_scale.clamp(0, 4).exp()
        loss = window_loss(picture, sound, scale)
        loss = loss + config.curve_weight * curve_loss(picture, sound, scale)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        schedule.step()
        on_step(step, loss.item())
    return network.eval()
