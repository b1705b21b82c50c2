"""AVSyncNet: two residual towers that embed five mouth pictures and their sound.

A ReLU ends both towers, so that embeddings have no negative component and their cosine, which a
binary cross-entropy takes for a probability, lies in 0 ... 1. The paper does not say how it gets
there; Wav2Lip's SyncNet does it like this.

Shape suffixes: B windows, C channels, H height, W width, D embedding, M mel bands, S mel columns.
Source: Yaman et al. (ECCV 2024); He et al., "Deep Residual Learning" (2016); Hu et al.,
"Squeeze-and-Excitation Networks" (2018).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ResNetConfig, ResNetModel

from trainers.systems.avsyncnet.configs import MEL_SHAPE, AvSyncNetConfig

REDUCTION = 8
"""Of the channels inside a squeeze-and-excitation gate; ours, the paper gives none."""


class AvSyncNet(nn.Module):
    """Embeds image and audio windows such that synchronous ones have a high cosine."""

    def __init__(self, config: AvSyncNetConfig) -> None:
        super().__init__()
        self.config = config
        self.image_tower = ImageTower(config)
        self.audio_tower = AudioTower(config)

    def forward(self, visual_BCHW: Tensor, mel_B1MS: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings (B, D) of picture and of sound.

        Raises:
            ValueError: another shape than the configuration's.
        """
        return self.embed_visual(visual_BCHW), self.embed_audio(mel_B1MS)

    def embed_visual(self, visual_BCHW: Tensor) -> Tensor:
        """Return unit vectors (B, D), float32 or wider.

        Args:
            visual_BCHW: (B, 15, R / 2, R) lower halves of faces of the edge R, frame by frame,
                R, G, B inside, -1 ... 1.
        Raises:
            ValueError: another shape.
        """
        _check_shape("visual", visual_BCHW, self.config.visual_shape)
        return _unit_vectors(self.image_tower(visual_BCHW))

    def embed_audio(self, mel_B1MS: Tensor) -> Tensor:
        """Return unit vectors (B, D), float32 or wider.

        Args:
            mel_B1MS: (B, 1, 80, 16) mel window of `trainers.audio.mel`, -4 ... 4.
        Raises:
            ValueError: another shape.
        """
        return self.audio_tower.embed(mel_B1MS)


class ImageTower(nn.Module):
    """A ResNet whose first layer takes five frames, and a linear layer to the embedding."""

    def __init__(self, config: AvSyncNetConfig) -> None:
        super().__init__()
        self.resnet = ResNetModel(
            ResNetConfig(
                num_channels=config.visual_shape[0],
                embedding_size=config.image_stem,
                hidden_sizes=list(config.image_widths),
                depths=list(config.image_depths),
                layer_type=config.image_block,
            )
        )
        self.project = nn.Linear(config.image_widths[-1], config.embedding)

    def forward(self, visual_BCHW: Tensor) -> Tensor:
        """Return (B, D), not negative."""
        pooled: Tensor = self.resnet(visual_BCHW).pooler_output
        return functional.relu(self.project(pooled.flatten(1)))


class AudioTower(nn.Module):
    """A ResNet of basic blocks with squeeze-and-excitation, averaged over bands and time."""

    def __init__(self, config: AvSyncNetConfig) -> None:
        super().__init__()
        self.embedding = config.embedding
        widths, depths = config.audio_widths, config.audio_depths
        self.stem = nn.Sequential(
            nn.Conv2d(MEL_SHAPE[0], widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        levels = []
        for number, (inputs, outputs) in enumerate(pairwise((widths[0], *widths))):
            stride = 1 if number == 0 else 2
            levels.append(_SeBlock(inputs, outputs, stride))
            levels += [_SeBlock(outputs, outputs, 1) for _ in range(depths[number] - 1)]
        self.levels = nn.Sequential(*levels)
        self.project = nn.Linear(widths[-1], config.embedding)

    def forward(self, mel_B1MS: Tensor) -> Tensor:
        """Return (B, D), not negative."""
        features_BCHW = self.levels(self.stem(mel_B1MS))
        return functional.relu(self.project(features_BCHW.mean(dim=(2, 3))))

    def embed(self, mel_B1MS: Tensor) -> Tensor:
        """Return unit vectors (B, D), float32 or wider; see `AvSyncNet.embed_audio`."""
        _check_shape("mel", mel_B1MS, MEL_SHAPE)
        return _unit_vectors(self(mel_B1MS))


class _SeBlock(nn.Module):
    """Two convolutions, a gate per channel, and the input added."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.gate = nn.Sequential(
            nn.Linear(outputs, outputs // REDUCTION),
            nn.ReLU(),
            nn.Linear(outputs // REDUCTION, outputs),
            nn.Sigmoid(),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        features_BCHW = self.body(x_BCHW)
        gate_BC = self.gate(features_BCHW.mean(dim=(2, 3)))
        return functional.relu(features_BCHW * gate_BC[..., None, None] + self.shortcut(x_BCHW))


def _check_shape(name: str, windows: Tensor, shape: tuple[int, ...]) -> None:
    if windows.shape[1:] != shape:
        raise ValueError(f"{name}: windows of {tuple(windows.shape[1:])}, needed {shape}")


def _unit_vectors(features_BD: Tensor) -> Tensor:
    wide = features_BD.to(torch.promote_types(features_BD.dtype, torch.float32))
    return functional.normalize(wide, dim=1)
