"""Random draws of a training step, each item from its own seed, so that a resume repeats them.

Shape suffixes: B clips, C latent channels, F frames, h and w latents (pixels / 8).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.systems.latentsync.losses.noise import mixed_noise
from trainers.systems.latentsync.losses.one_step import STEPS


@dataclass(frozen=True, slots=True)
class StepDraws:
    """The random numbers of one training step."""

    timesteps: Tensor
    """(B,) 0 ... 999, one per clip, int64."""
    silent: Tensor
    """(B,) whether the clip is trained without sound, bool."""
    noise: Tensor
    """(B, C, F, h, w)"""
    generators: list[torch.Generator]
    """One per clip, behind what was drawn here: for the autoencoder's posterior."""


def draw_step(
    seeds_B: Tensor,
    shape_CFhw: tuple[int, int, int, int],
    alpha: float,
    silent_share: float,
    timestep_power: float = 1.0,
) -> StepDraws:
    """Draw timestep, silence and noise of every item, on the CPU's stream, moved to the seeds.

    Always takes as many numbers, so that one option does not move another's.

    Args:
        timestep_power: p of t = 1000 u^(1/p), u uniform: 1 as published, more draws high noise.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds_B.tolist()]
    timesteps = [_timestep(generator, timestep_power) for generator in generators]
    silent = [torch.rand((), generator=generator) < silent_share for generator in generators]
    noise = [mixed_noise((1, *shape_CFhw), generator, alpha) for generator in generators]
    device = seeds_B.device
    return StepDraws(
        torch.stack(timesteps).to(device),
        torch.stack(silent).to(device),
        torch.cat(noise).to(device),
        generators,
    )


def _timestep(generator: torch.Generator, power: float) -> Tensor:
    if power == 1:
        return torch.randint(STEPS, (), generator=generator)
    drawn = STEPS * torch.rand((), generator=generator) ** (1 / power)
    return drawn.long().clamp(max=STEPS - 1)
