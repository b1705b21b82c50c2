"""The noise of SyncDiff: its schedule, what the network predicts, and what a step draws.

The schedule is that of latent diffusion's models on the same latents; the paper states none.

Shape suffixes: B frames, C latent channels, h and w latents.
Source: Ho et al. (2020) with T = 1000; linear in the root of beta from 0.0015 to 0.0195 (Rombach et
al., CVPR 2022); Song et al., "Denoising Diffusion Implicit Models" (2021), equation 12.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

Prediction = Literal["epsilon", "x0"]
STEPS = 1000
BETA_FIRST, BETA_LAST = 0.0015, 0.0195


@dataclass(frozen=True, slots=True)
class FrameDiffusion:
    """One kind of prediction."""

    prediction: Prediction = "epsilon"

    @property
    def term(self) -> str:
        """Name of the loss on it: `noise` or `clean`."""
        return "noise" if self.prediction == "epsilon" else "clean"

    def scheduler(self) -> DDIMScheduler:
        """Return the schedule of training and sampling.

        Clean latents are sampled from the last step on, where there is nothing but noise.
        """
        scheduler: DDIMScheduler = DDIMScheduler(
            num_train_timesteps=STEPS,
            beta_start=BETA_FIRST,
            beta_end=BETA_LAST,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=True,
            prediction_type="epsilon" if self.prediction == "epsilon" else "sample",
            timestep_spacing="leading" if self.prediction == "epsilon" else "trailing",
        )
        return scheduler

    def target(self, clean_BChw: Tensor, noise_BChw: Tensor) -> Tensor:
        """Return what the network should have said."""
        return noise_BChw if self.prediction == "epsilon" else clean_BChw

    def noisy(self, clean_BChw: Tensor, noise_BChw: Tensor, timestep_B: Tensor) -> Tensor:
        """Return the latents at a timestep per frame."""
        abar = self._abar(timestep_B)
        return abar.sqrt() * clean_BChw + (1 - abar).sqrt() * noise_BChw

    def clean(self, noisy_BChw: Tensor, predicted_BChw: Tensor, timestep_B: Tensor) -> Tensor:
        """Return the clean latents that a prediction implies, float32."""
        if self.prediction == "x0":
            return predicted_BChw.float()
        abar = self._abar(timestep_B)
        return (noisy_BChw.float() - (1 - abar).sqrt() * predicted_BChw.float()) / abar.sqrt()

    def _abar(self, timestep_B: Tensor) -> Tensor:
        alphas_cumprod_T = self.scheduler().alphas_cumprod.to(timestep_B.device)
        return alphas_cumprod_T[timestep_B].view(-1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class FrameDraws:
    """The random numbers of one training step; every item has its own seed."""

    timesteps: Tensor
    """(B,) 0 ... 999, int64."""
    noise: Tensor
    """(B, C, h, w)"""
    pose_noise: Tensor
    """(B, C, h, w), deviation 1."""
    token_noise: Tensor
    """(B, K, D), deviation 1."""


def draw_frames(
    seeds_B: Tensor, shape_Chw: Sequence[int], shape_KD: Sequence[int], timestep_power: float
) -> FrameDraws:
    """Draw on the CPU's streams, moved to the seeds' device. No option moves another's numbers.

    Args:
        timestep_power: p of t = 1000 u^(1/p), u uniform: 1 as published, more draws high noise.
    """
    rows = [_drawn(seed, shape_Chw, shape_KD) for seed in seeds_B.tolist()]
    uniform_B, noise, pose_noise, token_noise = (
        torch.stack(column).to(seeds_B.device) for column in zip(*rows, strict=True)
    )
    timesteps = (STEPS * uniform_B ** (1 / timestep_power)).long().clamp(max=STEPS - 1)
    return FrameDraws(timesteps, noise, pose_noise, token_noise)


def _drawn(seed: int, shape_Chw: Sequence[int], shape_KD: Sequence[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand((), generator=generator)
    shapes = (shape_Chw, shape_Chw, shape_KD)
    return [uniform, *(torch.randn(tuple(shape), generator=generator) for shape in shapes)]
