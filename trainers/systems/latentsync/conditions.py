"""Image conditions of the lip-sync U-Net: 9 of its 13 input channels.

Shape suffixes: B clips, F frames, C colours, H and W pixels, h and w latents (pixels / 8).
Source: order of the channels and masking before the encoder as in LatentSync (golden notes G4, G6).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.data.frame_views import clips_of, frames_of
from trainers.frozen.latent_vae import PIXELS_PER_LATENT, LatentVae


def encoded(
    vae: LatentVae, clips_B3FHW: Tensor, generators: Sequence[torch.Generator] | None = None
) -> Tensor:
    """Return the latents (B, C, F, h, w) of clips, float32, without gradient.

    Args:
        clips_B3FHW: RGB, -1 ... 1.
        generators: one per clip draws from the posterior; None takes its mean.
    """
    drawn: Sequence[torch.Generator | None] = generators or [None for _ in clips_B3FHW]
    latents = [
        clips_of(vae.encode(frames_of(clip[None]), generator).float(), 1)
        for clip, generator in zip(clips_B3FHW, drawn, strict=True)
    ]
    return torch.cat(latents)


def decoded(vae: LatentVae, latents_BCFhw: Tensor) -> Tensor:
    """Return the clips (B, 3, F, H, W) of latents, about -1 ... 1, float32, with gradient.

    One clip at a time: its frames fill a GPU, and those of a batch would not fit into one.
    """
    clips = [clips_of(vae.decode(frames_of(clip[None])).float(), 1) for clip in latents_BCFhw]
    return torch.cat(clips)


def conditions(
    vae: LatentVae,
    faces_B3FHW: Tensor,
    reference_B3FHW: Tensor,
    keep_11HW: Tensor,
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """Return mask 1, latents of the masked faces C, of the reference C: (B, 2 C + 1, F, h, w).

    The hole is 0, mid grey. The result does not depend on the pixels inside of it.

    Args:
        faces_B3FHW: the faces to be painted in, RGB, -1 ... 1.
        reference_B3FHW: the same person at other moments.
        keep_11HW: `trainers.talking_face.masks.keep_mask`.
        generators: as in `encoded`.
    """
    masked = encoded(vae, faces_B3FHW * keep_11HW[:, :, None], generators)
    return joined(masked, encoded(vae, reference_B3FHW, generators), keep_11HW)


def joined(masked_BCFhw: Tensor, reference_BCFhw: Tensor, keep_11HW: Tensor) -> Tensor:
    """Return the mask and both latents as the channels (B, 2 C + 1, F, h, w)."""
    clips, _, frames, *size = masked_BCFhw.shape
    mask = latent_mask(keep_11HW)[:, :, None].expand(clips, 1, frames, *size)
    return torch.cat([mask.to(masked_BCFhw), masked_BCFhw, reference_BCFhw], dim=1)


def latent_mask(keep_11HW: Tensor) -> Tensor:
    """Return the mask at the latents' size, (1, 1, h, w): every eighth pixel, as LatentSync."""
    return keep_11HW[..., ::PIXELS_PER_LATENT, ::PIXELS_PER_LATENT]
