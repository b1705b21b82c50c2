"""Sampling: DDIM frame by frame, each with the generated frame before it as its pose.

Shape suffixes: B clips, T frames, H and W pixels, C latent channels, h and w latents, J = 2 C,
K and D sound.
Source: Song et al., "Denoising Diffusion Implicit Models" (2021); SyncDiff (WACV 2025), inference.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from torch import Tensor

from trainers.frozen.latent_vae import LatentVae
from trainers.frozen.registry import FrozenNetwork
from trainers.systems.syncdiff.diffusion import FrameDiffusion
from trainers.systems.syncdiff.network import SyncDiffNetwork
from trainers.talking_face.masks import lower_half_mask


class FramePainter(Protocol):
    """What sampling needs of a task or of a bundle; all on one device, the network in eval mode."""

    @property
    def network(self) -> SyncDiffNetwork:
        """What was trained."""

    @property
    def autoencoder(self) -> FrozenNetwork[LatentVae]:
        """Pictures <-> latents."""

    @property
    def diffusion(self) -> FrameDiffusion:
        """What the network predicts."""


def first_noise(painter: FramePainter, size_px: int, seed: int) -> Tensor:
    """Return the noise that every frame starts from, (1, C, h, w): the same for all. Ours."""
    vae = painter.autoencoder.network
    side = size_px // vae.pixels_per_latent
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, vae.channels, side, side, generator=generator)


@torch.no_grad()
def next_frames(
    painter: FramePainter,
    faces_B3HW: Tensor,
    identity_B3HW: Tensor,
    previous_B3HW: Tensor,
    tokens_BKD: Tensor,
    noise_1Chw: Tensor,
    steps: int,
) -> Tensor:
    """Return the faces with a new lower half, (B, 3, H, W), -1 ... 1; the upper half is kept.

    Runs in the caller's autocast.

    Args:
        faces_B3HW: aligned faces, RGB, -1 ... 1; their lower half is not looked at.
        identity_B3HW: the same people at another moment.
        previous_B3HW: what was generated for the frames before.
        tokens_BKD: the sound's features of these frames.
        noise_1Chw: `first_noise`.
        steps: of DDIM, 1 ... 1000.
    """
    vae = painter.autoencoder.network
    keep_11HW = lower_half_mask(faces_B3HW.shape[-1]).to(faces_B3HW)
    still = torch.cat([vae.encode(faces_B3HW * keep_11HW), vae.encode(identity_B3HW)], dim=1)
    latents_BChw = _denoised(
        painter, still, vae.encode(previous_B3HW), tokens_BKD, noise_1Chw, steps
    )
    made_B3HW = vae.decode(latents_BChw).float().clamp(-1, 1)
    return torch.where(keep_11HW.bool(), faces_B3HW, made_B3HW)


def roll_out(
    painter: FramePainter,
    faces_BT3HW: Tensor,
    identity_B3HW: Tensor,
    tokens_BTKD: Tensor,
    seed: int,
    steps: int,
) -> Tensor:
    """Return whole clips, (B, T, 3, H, W): the identity frame stands before the first frame."""
    noise = first_noise(painter, faces_BT3HW.shape[-1], seed).to(faces_BT3HW)
    made: Sequence[Tensor] = [identity_B3HW]
    for faces_B3HW, tokens_BKD in zip(faces_BT3HW.unbind(1), tokens_BTKD.unbind(1), strict=True):
        made = [
            *made,
            next_frames(painter, faces_B3HW, identity_B3HW, made[-1], tokens_BKD, noise, steps),
        ]
    return torch.stack(list(made[1:]), dim=1)


def _denoised(
    painter: FramePainter,
    still_BJhw: Tensor,
    previous_BChw: Tensor,
    tokens_BKD: Tensor,
    noise_1Chw: Tensor,
    steps: int,
) -> Tensor:
    network, scheduler = painter.network, painter.diffusion.scheduler()
    scheduler.set_timesteps(steps)
    sound = network.heard(tokens_BKD)
    latents = noise_1Chw.expand(len(still_BJhw), -1, -1, -1)
    clean = latents
    for timestep in scheduler.timesteps.tolist():
        predicted = network(latents, timestep, still_BJhw, previous_BChw, sound)
        step = scheduler.step(predicted.float(), timestep, latents)
        assert isinstance(step, DDIMSchedulerOutput)
        assert step.pred_original_sample is not None
        latents, clean = step.prev_sample, step.pred_original_sample
    return clean
