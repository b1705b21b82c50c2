"""The VQ autoencoder of latent diffusion, f = 4: pictures to latents of 3 channels and back.

A diffusion model paints the encoder's own output; the nearest entries of the code book are taken
when it is decoded, as in latent diffusion.

Shape suffixes: N images, H height, W width, h = H / 4, w = W / 4.
Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (CVPR 2022),
the model vq-f4; names and shapes of its published checkpoint.
"""

import re
from collections.abc import Mapping

import torch
from diffusers.models.autoencoders.vq_model import VQModel
from torch import Tensor, nn

from trainers.frozen.latent_vae import LatentVae

PIXELS_PER_LATENT = 4
LATENT_CHANNELS = 3
LEVELS = 3
"""Widths of the encoder; the picture is halved between them."""
UNUSED = ("loss.",)
"""Discriminator and perceptual network of its training."""
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_PARTS = {"conv_in": "conv_in", "norm_out": "conv_norm_out", "conv_out": "conv_out"}
_RESNET = {"nin_shortcut": "conv_shortcut"}


class VqVae(LatentVae):
    """diffusers' `VQModel`. There is no posterior, and the latents are not scaled."""

    channels = LATENT_CHANNELS
    pixels_per_latent = PIXELS_PER_LATENT

    def __init__(self, model: VQModel) -> None:
        super().__init__()
        self.model = model

    @torch.no_grad()
    def encode(self, images_N3HW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return latents (N, 3, h, w), not yet quantized; the generator has no effect."""
        (latents_N3hw,) = self.model.encode(images_N3HW, return_dict=False)
        made: Tensor = latents_N3hw
        return made

    def decode(self, latents_N4hw: Tensor) -> Tensor:
        """Return images (N, 3, H, W) of latents (N, 3, h, w), which are quantized first."""
        images_N3HW, _ = self.model.decode(latents_N4hw, return_dict=False)
        made: Tensor = images_N3HW
        return made

    def called_modules(self) -> list[nn.Module]:
        """Return encoder and decoder."""
        return [self.model.encoder, self.model.decoder]


def vq_f4(widths: tuple[int, ...] = (128, 256, 512), entries: int = 8192) -> VQModel:
    """Return the autoencoder with random weights: 55.3 M parameters as published."""
    model: VQModel = VQModel(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=2,
        latent_channels=LATENT_CHANNELS,
        num_vq_embeddings=entries,
        sample_size=256,
    )
    return model


def own_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a published state dict under the names and shapes of diffusers."""
    return {
        _own_name(name): _own_shape(name, tensor)
        for name, tensor in published.items()
        if not name.startswith(UNUSED)
    }


def published_state(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of diffusers under the published names and shapes."""
    state = {_published_name(name): tensor for name, tensor in own.items()}
    return {name: _published_shape(name, tensor) for name, tensor in state.items()}


def _own_name(name: str) -> str:
    half, _, rest = name.partition(".")
    if half not in ("encoder", "decoder"):
        return name
    if found := re.fullmatch(r"mid\.attn_1\.(\w+)\.(\w+)", rest):
        part = _ATTENTION.get(found[1], found[1])
        return f"{half}.mid_block.attentions.0.{part}.{found[2]}"
    if found := re.fullmatch(r"mid\.block_(\d)\.(.+)", rest):
        return f"{half}.mid_block.resnets.{int(found[1]) - 1}.{found[2]}"
    if found := re.fullmatch(r"(down|up)\.(\d)\.(down|up)sample\.(.+)", rest):
        return (
            f"{half}.{found[1]}_blocks.{_level(*found.group(1, 2))}.{found[3]}samplers.0.{found[4]}"
        )
    if found := re.fullmatch(r"(down|up)\.(\d)\.block\.(\d)\.(\w+)\.(\w+)", rest):
        level, part = _level(*found.group(1, 2)), _RESNET.get(found[4], found[4])
        return f"{half}.{found[1]}_blocks.{level}.resnets.{found[3]}.{part}.{found[5]}"
    part, _, end = rest.rpartition(".")
    return f"{half}.{_PARTS.get(part, part)}.{end}"


def _published_name(name: str) -> str:
    half, _, rest = name.partition(".")
    if half not in ("encoder", "decoder"):
        return name
    if found := re.fullmatch(r"mid_block\.attentions\.0\.(.+)\.(\w+)", rest):
        return f"{half}.mid.attn_1.{_inverse(_ATTENTION)[found[1]]}.{found[2]}"
    if found := re.fullmatch(r"mid_block\.resnets\.(\d)\.(.+)", rest):
        return f"{half}.mid.block_{int(found[1]) + 1}.{found[2]}"
    if found := re.fullmatch(r"(down|up)_blocks\.(\d)\.(down|up)samplers\.0\.(.+)", rest):
        return f"{half}.{found[1]}.{_level(*found.group(1, 2))}.{found[3]}sample.{found[4]}"
    if found := re.fullmatch(r"(down|up)_blocks\.(\d)\.resnets\.(\d)\.(\w+)\.(\w+)", rest):
        level, part = _level(*found.group(1, 2)), _inverse(_RESNET).get(found[4], found[4])
        return f"{half}.{found[1]}.{level}.block.{found[3]}.{part}.{found[5]}"
    part, _, end = rest.rpartition(".")
    return f"{half}.{_inverse(_PARTS).get(part, part)}.{end}"


def _level(way: str, number: str) -> int:
    """Return a level's number under the other names: upwards, one counts from the other end."""
    return int(number) if way == "down" else LEVELS - 1 - int(number)


def _inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {theirs: ours for ours, theirs in names.items()}


def _own_shape(name: str, tensor: Tensor) -> Tensor:
    """Published attention is convolutions of 1 x 1, ours matrices."""
    return tensor[:, :, 0, 0] if _is_attention_kernel(name) and tensor.ndim == 4 else tensor


def _published_shape(name: str, tensor: Tensor) -> Tensor:
    return tensor[:, :, None, None] if _is_attention_kernel(name) else tensor


def _is_attention_kernel(name: str) -> bool:
    return re.search(r"attn_1\.(q|k|v|proj_out)\.weight$", name) is not None
