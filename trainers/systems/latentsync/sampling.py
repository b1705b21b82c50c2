"""Sampling: DDIM with audio guidance, the original frame kept outside of the mask.

Shape suffixes: B clips, F frames, C = 3 colours, H and W pixels, h and w latents (pixels / 8),
T audio tokens per frame, D their width, L latent channels, K channels of the conditions.
Source: Song et al., "Denoising Diffusion Implicit Models" (2021); Ho and Salimans,
"Classifier-Free Diffusion Guidance" (2022); tokens of zeros as "no sound" as in LatentSync.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from torch import Tensor

from trainers.frozen.latent_vae import LatentVae
from trainers.frozen.registry import FrozenNetwork
from trainers.systems.latentsync.conditions import conditions, decoded
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.parametrization import Parametrization
from trainers.talking_face.masks import composited, keep_mask


class HasUNetAndVae(Protocol):
    """What sampling needs of a bundle; both on one device."""

    @property
    def unet(self) -> LatentSyncUNet:
        """Predicts the noise."""

    @property
    def vae(self) -> FrozenNetwork[LatentVae]:
        """Pictures <-> latents."""

    @property
    def parametrization(self) -> Parametrization:
        """What the U-Net predicts."""


@dataclass(frozen=True, slots=True)
class SamplingNetworks:
    """A U-Net in training, and its autoencoder."""

    unet: LatentSyncUNet
    vae: FrozenNetwork[LatentVae]
    parametrization: Parametrization


@torch.no_grad()
def sample(
    networks: HasUNetAndVae,
    faces_BCFHW: Tensor,
    reference_BCFHW: Tensor,
    audio_BFTD: Tensor,
    noise_BLFhw: Tensor,
    steps: int = 20,
    guidance: float = 1.5,
) -> Tensor:
    """Return lip-synced faces, (B, 3, F, H, W), -1 ... 1; pixels outside the mask are kept.

    Answers for a frame depend on which others are there (docs/latentsync_unet.md): pad a last
    window to 16 frames rather than cut it. Runs in the caller's autocast.

    Args:
        faces_BCFHW: aligned faces, RGB, -1 ... 1; at most 24 frames.
        reference_BCFHW: of the same shape; at inference LatentSync takes the faces themselves.
        audio_BFTD: the tokens of each frame (`trainers.frozen.whisper.whisper_windows`).
        noise_BLFhw: where it starts, (B, L, F, h, w) from N(0, 1); LatentSync repeats one frame's.
        steps: of DDIM, 1 ... 1000.
        guidance: 1 = none, and half the time.
    Raises:
        ValueError: shapes do not belong together, or the clip is too long.
    """
    keep_11HW = keep_mask(faces_BCFHW.shape[-1]).to(faces_BCFHW)
    conditions_BKFhw = conditions(networks.vae.network, faces_BCFHW, reference_BCFHW, keep_11HW)
    latents_BLFhw = _denoised(networks, conditions_BKFhw, audio_BFTD, noise_BLFhw, steps, guidance)
    made_BCFHW = decoded(networks.vae.network, latents_BLFhw).clamp(-1, 1)
    return composited(made_BCFHW, faces_BCFHW, keep_11HW)


def _denoised(
    networks: HasUNetAndVae,
    conditions_BKFhw: Tensor,
    audio_BFTD: Tensor,
    noise_BLFhw: Tensor,
    steps: int,
    guidance: float,
) -> Tensor:
    scheduler = networks.parametrization.scheduler()
    scheduler.set_timesteps(steps)
    latents = noise_BLFhw.to(conditions_BKFhw)
    last = DDIMSchedulerOutput(latents)
    for timestep in scheduler.timesteps.tolist():
        predicted = _guided(
            networks.unet, torch.cat([latents, conditions_BKFhw], 1), timestep, audio_BFTD, guidance
        )
        step = scheduler.step(predicted.float(), timestep, latents)
        assert isinstance(step, DDIMSchedulerOutput)
        latents, last = step.prev_sample, step
    return networks.parametrization.last(last)


def _guided(
    unet: LatentSyncUNet, latents_BCFhw: Tensor, timestep: int, audio_BFTD: Tensor, guidance: float
) -> Tensor:
    """Return the prediction with sound, moved away from the one without by the guidance."""
    if guidance == 1:
        plain: Tensor = unet(latents_BCFhw, timestep, audio_BFTD)
        return plain
    both = torch.cat([torch.zeros_like(audio_BFTD), audio_BFTD])
    without, with_sound = unet(latents_BCFhw.repeat(2, 1, 1, 1, 1), timestep, both).chunk(2)
    guided: Tensor = without + guidance * (with_sound - without)
    return guided
