"""Generator and discriminator of Yaman et al.

The generator paints one frame: from the frame with its lower half masked (pose), another picture of
the person (identity) and the embedding of the sound around the frame.

Shape suffixes: N frames, C channels, H height, W width, D audio embedding.
Source: Yaman et al. (ECCV 2024); Miyato et al., "Spectral Normalization" (2018). Where the paper
is silent: docs/stabilized.md.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trainers.systems.stabilized.configs import TalkerConfig

SLOPE = 0.2
"""Of the discriminator's leaky ReLU."""


class TalkerGenerator(nn.Module):
    """Two face encoders, a bottleneck with the sound, a decoder with skips from both."""

    def __init__(self, config: TalkerConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.stem, *config.widths)
        self.identity_encoder = FaceEncoder(config)
        self.pose_encoder = FaceEncoder(config)
        deepest = widths[-1]
        self.reduce = nn.Conv2d(2 * deepest, deepest, 1)
        inputs = [deepest + config.sound, *(3 * width for width in widths[-2:0:-1])]
        self.decoder = nn.ModuleList(
            _Up(channels, width)
            for channels, width in zip(inputs, reversed(widths[:-1]), strict=True)
        )
        self.paint = nn.Sequential(
            nn.Conv2d(3 * config.stem, config.stem, 3, padding=1),
            nn.BatchNorm2d(config.stem),
            nn.ReLU(),
            nn.Conv2d(config.stem, 3, 1),
            nn.Tanh(),
        )

    def forward(self, pose_N3HW: Tensor, identity_N3HW: Tensor, sound_ND: Tensor) -> Tensor:
        """Return whole faces (N, 3, H, W), -1 ... 1.

        Args:
            pose_N3HW: the frames to be painted, -1 ... 1, their lower halves 0.
            identity_N3HW: other pictures of the same people.
            sound_ND: embeddings of `heard`.
        """
        identity, pose = self.identity_encoder(identity_N3HW), self.pose_encoder(pose_N3HW)
        face_NCHW = self.reduce(torch.cat([identity[-1], pose[-1]], dim=1))
        sound_NDHW = sound_ND[..., None, None].expand(-1, -1, *face_NCHW.shape[-2:])
        x_NCHW = torch.cat([face_NCHW, sound_NDHW.to(face_NCHW.dtype)], dim=1)
        skips = zip(reversed(identity[:-1]), reversed(pose[:-1]), strict=True)
        for up, (ours, theirs) in zip(self.decoder, skips, strict=True):
            x_NCHW = torch.cat([up(x_NCHW), ours, theirs], dim=1)
        painted: Tensor = self.paint(x_NCHW)
        return painted


class FaceEncoder(nn.Module):
    """A first layer at full size, then blocks that each halve the picture."""

    def __init__(self, config: TalkerConfig) -> None:
        super().__init__()
        self.first = _convolution(3, config.stem, 1)
        widths = (config.stem, *config.widths)
        self.blocks = nn.ModuleList(_Down(ours, theirs) for ours, theirs in pairwise(widths))

    def forward(self, faces_N3HW: Tensor) -> list[Tensor]:
        """Return the features of all sizes, the largest first."""
        found = [self.first(faces_N3HW)]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found


class Discriminator(nn.Module):
    """Strided convolutions with leaky ReLU and spectral norm; a score per patch, averaged."""

    def __init__(self, config: TalkerConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((3, *config.judge_widths)):
            strided = nn.Conv2d(inputs, outputs, 4, 2, padding=1)
            layers += [spectral_norm(strided), nn.LeakyReLU(SLOPE)]
        layers.append(spectral_norm(nn.Conv2d(config.judge_widths[-1], 1, 3, padding=1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, faces_N3HW: Tensor) -> Tensor:
        """Return (N, H, W) scores of patches: high for real ones, unbounded."""
        scores_N1HW: Tensor = self.layers(faces_N3HW)
        return scores_N1HW[:, 0]


def heard(unit_vectors_ND: Tensor) -> Tensor:
    """Return unit vectors of AVSyncNet's audio tower with a root mean square of 1.

    So the decoder sees sound and features of one scale, whatever the embedding's length.
    """
    return unit_vectors_ND * math.sqrt(unit_vectors_ND.shape[1])


def pose_of(faces: Tensor) -> Tensor:
    """Return (..., H, W) faces whose lower half is 0, the middle of -1 ... 1."""
    masked = faces.clone()
    masked[..., faces.shape[-2] // 2 :, :] = 0
    return masked


class _Residual(nn.Module):
    """Convolution and batch norm, the input added, ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        changed: Tensor = self.norm(self.convolution(x_NCHW))
        return torch.relu(changed + x_NCHW)


class _Down(nn.Sequential):
    """Strided convolution, then two whose input is added to their output."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(_convolution(inputs, outputs, 2), _Residual(outputs), _Residual(outputs))


class _Up(nn.Sequential):
    """Transposed convolution that doubles the picture, then two with the input added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            _Residual(outputs),
            _Residual(outputs),
        )


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
