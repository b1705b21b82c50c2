"""Fits one network: AdamW, one cycle, on one thread."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.systems.mouth_cover.losses import cover_loss
from trainers.systems.mouth_cover.network import CoverNetwork


@dataclass(frozen=True, slots=True)
class CoverFitConfig:
    """All that decides the weights, besides the samples."""

    epochs: int = 6
    batch: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    shift_px: int = 3
    """Landmarks are less certain where the mouth is covered."""


def fit(
    planes_SCPP: NDArray[np.uint8], covered_S: NDArray[np.bool_], config: CoverFitConfig, seed: int
) -> CoverNetwork:
    """Train one network. Same samples, config, seed and machine: same weights, bit for bit.

    Both classes weigh the same.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    network = CoverNetwork()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = config.epochs * (len(planes_SCPP) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps, pct_start=0.2
    )
    weight = torch.tensor((1 - covered_S.mean()) / max(covered_S.mean(), 1e-3))
    random = np.random.default_rng(seed)
    network.train()
    for _ in range(steps):
        chosen = random.integers(0, len(planes_SCPP), config.batch)
        planes = augmented(torch.from_numpy(planes_SCPP[chosen]).float(), random, config.shift_px)
        target = torch.from_numpy(covered_S[chosen]).float()
        loss = cover_loss(network(planes), target, weight)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    return network.eval()


def augmented(planes_BCPP: Tensor, random: np.random.Generator, shift_px: int) -> Tensor:
    """Return the samples mirrored, moved, lit and tinted otherwise; some without colour."""
    moves = [
        torch.roll(one, tuple(random.integers(-shift_px, shift_px + 1, 2).tolist()), (1, 2))
        for one in planes_BCPP
    ]
    planes = torch.stack(
        [
            one.flip(2) if flip else one
            for one, flip in zip(moves, random.random(len(moves)) < 0.5, strict=True)
        ]
    )
    count = (len(planes), 1, 1, 1)
    luma, colour = planes[:, :1], planes[:, 1:] - 128
    gamma = torch.from_numpy(np.exp(random.normal(0.1, 0.4, count))).float()
    gain = torch.from_numpy(random.uniform(0.6, 1.2, count)).float()
    offset = torch.from_numpy(random.normal(0, 10, count)).float()
    luma = (luma.clamp(0, 255) / 255) ** gamma * 255 * gain + offset
    strength = torch.from_numpy(
        np.where(random.random(count) < 0.12, 0, random.uniform(0.5, 1.4, count))
    )
    tint = torch.from_numpy(random.normal(0, 7, (len(planes), 2, 1, 1))).float()
    tint = tint * (strength > 0)
    return torch.cat([luma, colour * strength.float() + tint + 128], dim=1).clamp(0, 255)
