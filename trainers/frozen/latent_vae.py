"""The frozen autoencoder between pixels and latents: 8 x 8 pixels, 4 channels in Stable Diffusion.

Two networks of diffusers share that latent space: `AutoencoderKL` (sd-vae-ft-mse) and the small
distilled `AutoencoderTiny` (TAESD), faster and less exact.

Shape suffixes: N images, H height, W width, h = H / 8, w = W / 8.
Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (CVPR 2022).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional

KL_SCALE = 0.18215
"""Scales the latents to a variance of about 1 (Rombach et al., section D.1, Stable Diffusion 1)."""
PIXELS_PER_LATENT = 8
LATENT_CHANNELS = 4

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names in the published sd-vae-ft-mse file -> names in current diffusers."""


class LatentVae(nn.Module, ABC):
    """Images <-> scaled latents."""

    channels: int = LATENT_CHANNELS
    pixels_per_latent: int = PIXELS_PER_LATENT
    scale: float = 1.0
    """Latents = scale * a draw from the posterior."""

    @abstractmethod
    def encode(self, images_N3HW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return scaled latents (N, 4, h, w), without gradient.

        Args:
            images_N3HW: RGB, -1 ... 1; height and width are multiples of 8.
            generator: for a sample of the posterior, as in LatentSync; None takes the mean. Ignored
                where there is no posterior.
        """

    @abstractmethod
    def decode(self, latents_N4hw: Tensor) -> Tensor:
        """Return images (N, 3, H, W), about -1 ... 1, not clamped, with gradient."""

    def moments(self, images_N3HW: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return mean and standard deviation (N, C, h, w) of the posterior, before scaling.

        Without a posterior the deviation is None.
        """
        return self.encode(images_N3HW), None

    def sampled(
        self, mean_NChw: Tensor, std_NChw: Tensor | None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the latents of moments: `encode` = `sampled` of `moments`, number by number."""
        if std_NChw is not None and generator is not None:
            noise = torch.randn(mean_NChw.shape, generator=generator, device=generator.device)
            mean_NChw = mean_NChw + std_NChw * noise.to(mean_NChw)
        return mean_NChw * self.scale

    def share_of(self, region_11HW: Tensor) -> Tensor:
        """Return how much of each latent lies in a region of the picture, (1, channels, h, w)."""
        share_11hw = functional.avg_pool2d(region_11HW, self.pixels_per_latent)
        return share_11hw.repeat(1, self.channels, 1, 1)

    def checkpoint_gradients(self) -> None:
        """Recompute the decoder's activations in the backward pass, to save memory."""

    def called_modules(self) -> list[nn.Module]:
        """Return the networks behind `encode` and `decode`, to be compiled."""
        return []


class KlVae(LatentVae):
    """Stable Diffusion's autoencoder, with a posterior."""

    scale = KL_SCALE

    def __init__(self, model: AutoencoderKL) -> None:
        super().__init__()
        self.model = model

    @torch.no_grad()
    def encode(self, images_N3HW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return scaled latents (N, 4, h, w): sampled with the generator, or the mean."""
        return self.sampled(*self.moments(images_N3HW), generator)

    @torch.no_grad()
    def moments(self, images_N3HW: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return mean and standard deviation (N, 4, h, w)."""
        posterior = self.model.encode(images_N3HW).latent_dist
        return posterior.mean, posterior.std

    def decode(self, latents_N4hw: Tensor) -> Tensor:
        """Return images (N, 3, H, W)."""
        images_N3HW: Tensor = self.model.decode(latents_N4hw / KL_SCALE).sample
        return images_N3HW

    def checkpoint_gradients(self) -> None:
        """Checkpoint every block of the decoder."""
        self.model.enable_gradient_checkpointing()

    def called_modules(self) -> list[nn.Module]:
        """Return encoder and decoder."""
        return [self.model.encoder, self.model.decoder]


class TinyVae(LatentVae):
    """TAESD. Its latents are already scaled, and it has no posterior."""

    def __init__(self, model: AutoencoderTiny) -> None:
        super().__init__()
        self.model = model

    @torch.no_grad()  # with gradients, diffusers' checkpointed tiny encoder omits its scaling
    def encode(self, images_N3HW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return latents (N, 4, h, w); the generator has no effect."""
        latents_N4hw: Tensor = self.model.encode(images_N3HW).latents
        return latents_N4hw

    def decode(self, latents_N4hw: Tensor) -> Tensor:
        """Return images (N, 3, H, W)."""
        images_N3HW: Tensor = self.model.decode(latents_N4hw).sample
        return images_N3HW

    def checkpoint_gradients(self) -> None:
        """Checkpoint the decoder as a whole."""
        self.model.enable_gradient_checkpointing()

    def called_modules(self) -> list[nn.Module]:
        """Return encoder and decoder."""
        return [self.model.encoder, self.model.decoder]


def sd_vae() -> AutoencoderKL:
    """Return Stable Diffusion 1's autoencoder (83.7 M parameters), with random weights."""
    model: AutoencoderKL = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=LATENT_CHANNELS,
        sample_size=256,
    )
    return model


def sd_vae_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the attention layers of the published file to the names of current diffusers."""
    return {_current_name(key): tensor for key, tensor in published.items()}


def taesd_state(encoder: Mapping[str, Tensor], decoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Merge TAESD's two files (`taesd_encoder`, `taesd_decoder`) for `AutoencoderTiny`.

    Layer 0 of the published decoder is a clamp, which diffusers has outside its list of layers.
    """
    state = {f"encoder.layers.{key}": tensor for key, tensor in encoder.items()}
    for key, tensor in decoder.items():
        number, _, rest = key.partition(".")
        state[f"decoder.layers.{int(number) - 1}.{rest}"] = tensor
    return state


def _current_name(key: str) -> str:
    parts = key.split(".")
    if "attentions" in parts and len(parts) > 1:
        parts[-2] = _OLD_ATTENTION.get(parts[-2], parts[-2])
    return ".".join(parts)
