"""SyncDiff's network: predicts the noise in one frame's latents, from three pictures and a sound.

(Or the clean latents: diffusion.py.)

It is diffusers' `UNet2DConditionModel`. Before it, the frame before passes the bottleneck: one
convolution of 1 x 1 that leaves a third of its channels, so that the network takes the pose from it
and not the picture.

Shape suffixes: B frames, C latent channels, h and w latents, I input channels, K and D sound.
Source: Fan et al., "SyncDiff: Diffusion-based Talking Head Synthesis with Bottlenecked Temporal
Visual Prior for Improved Synchronization" (WACV 2025).
"""

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from trainers.systems.syncdiff.configs import NORM_GROUPS, SOUND_WIDTH, SyncDiffConfig


class Bottleneck(nn.Module):
    """The frame before as few channels."""

    def __init__(self, config: SyncDiffConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(config.latent_channels, config.pose_channels, kernel_size=1)
        batch = config.pose_norm == "batch"
        self.norm = nn.BatchNorm2d(config.pose_channels) if batch else nn.Identity()

    def forward(self, previous_BChw: Tensor) -> Tensor:
        """Return what is left of the frame before."""
        left: Tensor = self.norm(self.conv(previous_BChw))
        return left


class SyncDiffNetwork(nn.Module):
    """U-Net, bottleneck and the part that hears: all that is trained.

    New weights are random but for the last convolution, which is zero: a new network says 0.
    """

    def __init__(self, config: SyncDiffConfig, hearing: nn.Module) -> None:
        super().__init__()
        self.config, self.hearing = config, hearing
        if config.pose == "bottleneck":
            self.bottleneck = Bottleneck(config)
        self.unet = _unet(config)
        for parameter in self.unet.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        noisy_BChw: Tensor,
        timestep_B: Tensor | int,
        still_BJhw: Tensor,
        previous_BChw: Tensor,
        sound_B1D: Tensor,
    ) -> Tensor:
        """Return the predicted noise, or clean latents, (B, C, h, w).

        Args:
            noisy_BChw: noisy latents of the frame.
            timestep_B: 0 ... 999, one per frame or one for all.
            still_BJhw: latents of the masked frame and of the identity frame, 2 C channels.
            previous_BChw: latents of the frame before; without effect where there is no pose.
            sound_B1D: what `heard` gave.
        """
        pictures_BIhw = torch.cat([noisy_BChw, still_BJhw, *self._pose(previous_BChw)], dim=1)
        (answer_BChw,) = self.unet(pictures_BIhw, timestep_B, sound_B1D, return_dict=False)
        answer: Tensor = answer_BChw
        return answer

    def heard(self, tokens_BKD: Tensor) -> Tensor:
        """Return the vector of each frame as a sequence of one, (B, 1, 768)."""
        vectors: Tensor = self.hearing(tokens_BKD)
        return vectors[:, None]

    def _pose(self, previous_BChw: Tensor) -> list[Tensor]:
        if self.config.pose == "none":
            return []
        if self.config.pose == "direct":
            return [previous_BChw]
        return [self.bottleneck(previous_BChw)]


def _unet(config: SyncDiffConfig) -> UNet2DConditionModel:
    sizes = config.sizes
    down = tuple("CrossAttnDownBlock2D" if one else "DownBlock2D" for one in sizes.attention)
    up = tuple("CrossAttnUpBlock2D" if one else "UpBlock2D" for one in reversed(sizes.attention))
    model: UNet2DConditionModel = UNet2DConditionModel(
        in_channels=config.input_channels,
        out_channels=config.latent_channels,
        block_out_channels=sizes.widths,
        layers_per_block=sizes.layers_per_block,
        down_block_types=down,
        up_block_types=up,
        cross_attention_dim=SOUND_WIDTH,
        attention_head_dim=sizes.heads,  # diffusers' name for the number of heads
        norm_num_groups=NORM_GROUPS,
    )
    return model
