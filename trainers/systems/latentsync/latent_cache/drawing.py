"""Latents and image conditions of a step from stored moments, as `conditions.py` from pixels.

Every clip's generator draws in the same order: plain frames, masked frames, reference.

Shape suffixes: B clips, F frames, P planes (layout.py), C channels, h and w latents.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.data.frame_views import clips_of
from trainers.frozen.latent_vae import LatentVae
from trainers.systems.latentsync.conditions import joined
from trainers.systems.latentsync.latent_cache.layout import MASKED, PICTURES, PLAIN


def drawn_latents(
    vae: LatentVae,
    latents_BFPChw: Tensor,
    reference_BFPChw: Tensor,
    keep_11HW: Tensor,
    generators: Sequence[torch.Generator],
) -> tuple[Tensor, Tensor]:
    """Return the clean latents (B, C, F, h, w) and the conditions (B, 2 C + 1, F, h, w), float32.

    Args:
        latents_BFPChw: float16; of the window, plain and masked.
        reference_BFPChw: float16; of the reference, plain.
        keep_11HW: `trainers.talking_face.masks.keep_mask`.
        generators: one per clip.
    """
    plain = _drawn(vae, latents_BFPChw[:, :, PLAIN::PICTURES], generators)
    masked = _drawn(vae, latents_BFPChw[:, :, MASKED::PICTURES], generators)
    reference = _drawn(vae, reference_BFPChw, generators)
    return plain, joined(masked, reference, keep_11HW)


def _drawn(vae: LatentVae, moments_BFPChw: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Return latents (B, C, F, h, w) of one kind of picture; its P is 2 with a posterior, or 1."""
    clips = [
        clips_of(vae.sampled(moments[:, 0], _deviation(moments), generator), 1)
        for moments, generator in zip(moments_BFPChw.float(), generators, strict=True)
    ]
    return torch.cat(clips)


def _deviation(moments_FPChw: Tensor) -> Tensor | None:
    return moments_FPChw[:, 1] if moments_FPChw.shape[1] > 1 else None
