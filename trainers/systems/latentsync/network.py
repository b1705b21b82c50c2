"""LatentSync's U-Net: predicts the noise in a clip's latents, from audio and image conditions.

(Or the clean latents, as it is trained: parametrization.py.)

It is diffusers' `UNetMotionModel` with three changes: group norms pool their statistics as
LatentSync's do (group_norms.py), motion layers can be absent, and sound can be left out.

Shape suffixes: B clips, F frames, C = 13 input channels, L = 4 latent channels, H and W latents
(pixels / 8), T audio tokens per frame, D their width, N = B F frames.
Source: Li et al., "LatentSync: Audio Conditioned Latent Diffusion Models for Lip Sync" (2024);
sizes and order of layers by golden file G5.
"""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionModel
from torch import Tensor, nn

from trainers.systems.latentsync.configs import (
    HEADS,
    NORM_GROUPS,
    UNetConfig,
)
from trainers.systems.latentsync.gradient_checkpointing import recompute_layers
from trainers.systems.latentsync.group_norms import ClipLength, use_latentsync_norms


class LatentSyncUNet(nn.Module):
    """Noise prediction for a clip. Attention is PyTorch's scaled dot product throughout.

    New weights are random but for the first and last convolution and the ends of the motion
    layers, which are zero: a new network says 0, and a new motion layer changes nothing.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.length = ClipLength()
        self.net = _motion_model(config)
        _drop_motion(self.net, config)
        use_latentsync_norms(self.net, self.length)
        _skip_without_audio(self.net)
        _zero_initialize(self.net)

    def forward(
        self, latents_BCFHW: Tensor, timestep_B: Tensor | int, audio_BFTD: Tensor | None
    ) -> Tensor:
        """Return the predicted noise, or clean latents, (B, L, F, H, W).

        Args:
            latents_BCFHW: noisy latents L, keep-mask 1, masked picture L, reference L (channels in
                this order). Any F up to `max_frames` (without motion layers any F at all), but the
                norms couple the frames: the answer for a frame depends on which others are there.
            timestep_B: 0 ... 999, one per clip or one for all.
            audio_BFTD: the tokens that belong to each frame, published: 50 by 384. None leaves the
                audio layers out, which is not the same as tokens of zeros.
        Raises:
            ValueError: shapes do not belong together, or the clip is too long.
        """
        self._check(latents_BCFHW, audio_BFTD)
        audio_NTD = None if audio_BFTD is None else audio_BFTD.flatten(0, 1)
        with self.length.of(latents_BCFHW.shape[2]):
            (noise_BLFHW,) = self.net(latents_BCFHW, timestep_B, audio_NTD, return_dict=False)
        answer: Tensor = noise_BLFHW
        return answer

    def checkpoint_gradients(self) -> None:
        """Enable gradient checkpointing: less memory for a second forward pass."""
        recompute_layers(self.net, self.length)

    def train_only(self, parts: Sequence[str]) -> list[str]:
        """Freeze all parameters whose name holds none of `parts`; empty trains everything.

        Returns:
            The names of the trained parameters.
        Raises:
            ValueError: one of the parts is in no name.
        """
        names = [name for name, _ in self.named_parameters()]
        if idle := [part for part in parts if not any(part in name for name in names)]:
            raise ValueError(f"trained: {idle} are in no parameter's name")
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(not parts or any(part in name for part in parts))
        return [name for name, parameter in self.named_parameters() if parameter.requires_grad]

    def _check(self, latents_BCFHW: Tensor, audio_BFTD: Tensor | None) -> None:
        shape = tuple(latents_BCFHW.shape)
        if len(shape) != 5 or shape[1] != self.config.input_channels:
            needed = self.config.input_channels
            raise ValueError(f"latents have shape {shape}, not (B, {needed}, F, H, W)")
        clips, _, frames = shape[:3]
        if self.config.motion != "none" and frames > self.config.max_frames:
            raise ValueError(f"{frames} frames, but positions end at {self.config.max_frames}")
        if audio_BFTD is None:
            return
        found, width = tuple(audio_BFTD.shape), self.config.audio_width
        if len(found) != 4 or found[:2] != (clips, frames) or found[3] != width:
            raise ValueError(f"audio has shape {found}, not ({clips}, {frames}, T, {width})")


class _AudioAttention(AttnProcessor2_0):
    """Scaled dot product; adds nothing where there is no sound (else it would add the image)."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        *inputs: Any,
        **options: Any,
    ) -> Tensor:
        if encoder_hidden_states is None:
            return torch.zeros_like(hidden_states)
        return super().__call__(attn, hidden_states, encoder_hidden_states, *inputs, **options)


class _NoMotion(nn.Module):
    """Identity in place of a motion layer."""

    def forward(self, hidden_states: Tensor, **_: Any) -> Tensor:
        return hidden_states


def _motion_model(config: UNetConfig) -> UNetMotionModel:
    model: UNetMotionModel = UNetMotionModel(
        in_channels=config.input_channels,
        out_channels=config.latent_channels,
        block_out_channels=config.widths,
        layers_per_block=config.layers_per_block,
        norm_num_groups=NORM_GROUPS,
        cross_attention_dim=config.audio_width,
        num_attention_heads=HEADS,
        motion_max_seq_length=config.max_frames,
        motion_num_attention_heads=HEADS,
        use_motion_mid_block=False,
    )
    return model


def _drop_motion(model: UNetMotionModel, config: UNetConfig) -> None:
    blocks = {"none": [*model.down_blocks, *model.up_blocks], "decoder": [*model.down_blocks]}
    for block in blocks.get(config.motion, []):
        block.motion_modules = nn.ModuleList(_NoMotion() for _ in block.motion_modules)


def _skip_without_audio(model: UNetMotionModel) -> None:
    for name, module in model.named_modules():
        if ".attentions." in name and name.endswith(".attn2"):
            module.set_processor(_AudioAttention())  # type: ignore[no-untyped-call] # of diffusers


def _zero_initialize(model: UNetMotionModel) -> None:
    ends = [m.proj_out for m in model.modules() if isinstance(m, AnimateDiffTransformer3D)]
    for layer in (model.conv_in, model.conv_out, *ends):
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
