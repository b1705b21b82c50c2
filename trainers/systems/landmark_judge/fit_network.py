"""Fits one network of the landmark judge: dense InfoNCE, AdamW, one cycle.

Shape suffixes: B chunks, T frames, D embedding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.judge.curve import MAX_OFFSET_FRAMES
from pipeline.judge.landmark.network import LandmarkSyncNet, NetworkConfig
from trainers.systems.landmark_judge.items import (
    ChunkAugmentation,
    ChunkBatches,
    SpeechClip,
    visual_std,
)


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
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        schedule.step()
        on_step(step, loss.item())
    return network.eval()


def window_loss(picture_BTD: Tensor, sound_BTD: Tensor, scale: Tensor) -> Tensor:
    """Tell each window's partner from all others of its chunk, in both directions.

    The direct neighbours are left out: they are too alike to be called wrong.
    Source: InfoNCE, van den Oord et al. (2018).
    """
    logits_BTT = scale * picture_BTD @ sound_BTD.transpose(1, 2)
    frames = logits_BTT.shape[1]
    place = torch.arange(frames)
    near = (place[:, None] - place).abs() == 1
    logits_BTT = logits_BTT.masked_fill(near, float("-inf"))
    target = place.repeat(len(logits_BTT))
    forth = functional.cross_entropy(logits_BTT.flatten(0, 1), target)
    back = functional.cross_entropy(logits_BTT.transpose(1, 2).flatten(0, 1), target)
    return (forth + back) / 2


def curve_loss(picture_BTD: Tensor, sound_BTD: Tensor, scale: Tensor) -> Tensor:
    """Tell offset 0 from the other 30 by the mean over the chunk: what the judge will do."""
    cosine_BTT = picture_BTD @ sound_BTD.transpose(1, 2)
    span = range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)
    means = [torch.diagonal(cosine_BTT, -lag, 1, 2).mean(dim=1) for lag in span]
    logits_BK = 2 * scale * torch.stack(means, dim=1)
    near = torch.tensor([abs(lag) == 1 for lag in span])
    logits_BK = logits_BK.masked_fill(near, float("-inf"))
    return functional.cross_entropy(logits_BK, torch.full((len(logits_BK),), MAX_OFFSET_FRAMES))
