"""A network of the kind of Wav2Lip's SyncNet, for the pictures that StableSyncNet gets here.

Two stacks of convolutions, each followed by batch norm and ReLU, with residual blocks between the
strided ones; no attention; the last convolution covers what is left of the map. Written from the
description in Prajwal et al. 2020 ("A Lip Sync Expert Is All You Need"), at half of its channels.

Shape suffixes: B windows, C channels, H height, W width, M mel bands, S mel columns, D embedding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.systems.stable_syncnet.configs import StableSyncNetConfig

Stride = tuple[int, int]
PICTURE: tuple[tuple[int, Stride, int], ...] = (
    (32, (1, 2), 2),
    (64, (2, 2), 3),
    (128, (2, 2), 2),
    (256, (2, 2), 2),
)
"""Channels, stride and number of residual blocks of each level, for 32 x 64 pixels."""
SOUND: tuple[tuple[int, Stride, int], ...] = (
    (32, (3, 1), 2),
    (64, (3, 3), 2),
    (128, (3, 2), 2),
)
FIRST = 16
"""Channels of the first convolution."""
NARROW = 0.4
"""Share of these channels with which it has about as many parameters as AVSyncNet's `tiny`."""


class Wav2LipSyncNet(nn.Module):
    """Embeds pictures and sounds as unit vectors without negative components."""

    def __init__(self, config: StableSyncNetConfig, share: float = 1.0) -> None:
        """Take the inputs and the embedding's length of a configuration.

        Args:
            share: of the channels.
        """
        super().__init__()
        self.config = config
        width = round(share * config.embedding_size)
        self.visual_encoder = _stack(config.visual_shape, PICTURE, 7, width, share)
        self.audio_encoder = _stack(config.mel_shape, SOUND, 3, width, share)

    def forward(self, visual_BCHW: Tensor, mel_B1MS: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings (B, D) of picture and of sound."""
        return self.embed_visual(visual_BCHW), self.embed_audio(mel_B1MS)

    def embed_visual(self, visual_BCHW: Tensor) -> Tensor:
        """Return unit vectors (B, D) of (B, *config.visual_shape) in -1 ... 1."""
        return _unit(self.visual_encoder(visual_BCHW))

    def embed_audio(self, mel_B1MS: Tensor) -> Tensor:
        """Return unit vectors (B, D) of (B, *config.mel_shape)."""
        return _unit(self.audio_encoder(mel_B1MS))


class _Block(nn.Module):
    """Convolution, batch norm, the input added where `residual`, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int] = 3,
        stride: Stride = (1, 1),
        padding: int = 1,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = residual

    def forward(self, x_BCHW: Tensor) -> Tensor:
        made: Tensor = self.norm(self.conv(x_BCHW))
        return functional.relu(made + x_BCHW if self.residual else made)


def _stack(
    shape: tuple[int, int, int],
    levels: tuple[tuple[int, Stride, int], ...],
    first_kernel: int,
    width: int,
    share: float,
) -> nn.Sequential:
    inputs, *size = shape
    first = round(share * FIRST)
    blocks = [_Block(inputs, first, first_kernel, padding=first_kernel // 2)]
    inputs = first
    for of_all, stride, residual in levels:
        channels = round(share * of_all)
        blocks.append(_Block(inputs, channels, stride=stride))
        blocks += [_Block(channels, channels, residual=True) for _ in range(residual)]
        size = [(edge - 1) // step + 1 for edge, step in zip(size, stride, strict=True)]
        inputs = channels
    blocks.append(_Block(inputs, width, (size[0], size[1]), padding=0))
    blocks.append(_Block(width, width, 1, padding=0))
    return nn.Sequential(*blocks, nn.Flatten())


def _unit(x_BD: Tensor) -> Tensor:
    return functional.normalize(x_BD.to(torch.promote_types(x_BD.dtype, torch.float32)), dim=1)
