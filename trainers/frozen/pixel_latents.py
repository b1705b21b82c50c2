"""Latents without loss and without a network: the pixels of 8 x 8 blocks as channels.

Pixel space in the place of Stable Diffusion's latents, for faces so small (64 px) that an
autoencoder would destroy the mouth. The width of the latents is 3 x 64 = 192.

Shape suffixes: N images, H height, W width, h = H / 8, w = W / 8.
"""

import torch
from torch import Tensor
from torch.nn import functional

from trainers.frozen.latent_vae import PIXELS_PER_LATENT, LatentVae

SCALE = 2.0
"""Faces in -1 ... 1 deviate by about 0.5: scales the latents to a variance near 1."""


class PixelLatents(LatentVae):
    """Rearranges; exact in both directions but for rounding."""

    channels = 3 * PIXELS_PER_LATENT**2

    @torch.no_grad()
    def encode(self, images_N3HW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return latents (N, 192, h, w); the generator has no effect."""
        return SCALE * functional.pixel_unshuffle(images_N3HW, PIXELS_PER_LATENT)

    def decode(self, latents_NChw: Tensor) -> Tensor:
        """Return images (N, 3, H, W)."""
        return functional.pixel_shuffle(latents_NChw / SCALE, PIXELS_PER_LATENT)

    def share_of(self, region_11HW: Tensor) -> Tensor:
        """Return the region itself, rearranged: (1, 192, h, w)."""
        return functional.pixel_unshuffle(region_11HW.repeat(1, 3, 1, 1), PIXELS_PER_LATENT)
