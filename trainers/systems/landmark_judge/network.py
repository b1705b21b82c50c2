"""The landmark judge's network as it is trained: two small convolutional branches into one space.

`sync` runs the same arithmetic without torch: pipeline/judge/landmark/networks.py.

Shape suffixes: B clips, T frames, V visual features, S = 4 T mel steps, M mel bands, D embedding.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.judge.landmark.features import NUM_MELS, VISUAL_SIZE
from pipeline.judge.landmark.networks import MARGIN_FRAMES

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Sizes; stored with the weights."""

    width: int = 128
    size: int = 128
    """Length of an embedding."""
    dropout: float = 0.2


class _Layer(nn.Sequential):
    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        dropout: float = 0.0,
    ) -> None:
        padding = (dilation * (kernel - 1)) // 2
        super().__init__(
            nn.Conv1d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            nn.Dropout(dropout),
        )


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.layer = _Layer(width, width, 3, 1, dilation, dropout)

    def forward(self, x_BCT: Tensor) -> Tensor:
        out: Tensor = x_BCT + self.layer(x_BCT)
        return out


class LandmarkSyncNet(nn.Module):
    """Embeds mouth movement and audio so that synchronous windows are close together."""

    visual_std: Tensor
    """(121,) spread of the training clips' centred mouth shapes."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, drop = config.width, config.dropout
        self.register_buffer("visual_std", torch.ones(VISUAL_SIZE))
        self.visual = nn.Sequential(
            _Layer(VISUAL_SIZE, width, 5, dropout=drop),
            _Residual(width, 1, drop),
            _Residual(width, 2, drop),
            nn.Conv1d(width, config.size, 1),
        )
        self.audio = nn.Sequential(
            _Layer(NUM_MELS, 96, 5, dropout=drop),
            _Layer(96, 96, 4, 2, dropout=drop),
            _Layer(96, width, 4, 2, dropout=drop),
            _Residual(width, 1, drop),
            _Residual(width, 2, drop),
            nn.Conv1d(width, config.size, 1),
        )

    def embed_visual(self, shape_BTV: Tensor) -> Tensor:
        """Return unit vectors (B, T - 10, D) of centred mouth shapes (B, T, 121)."""
        return _unit_vectors(self.visual((shape_BTV / self.visual_std).transpose(1, 2)))

    def embed_audio(self, mel_BSM: Tensor) -> Tensor:
        """Return unit vectors (B, T - 10, D) of normalised log-mels (B, 4 T, 40)."""
        return _unit_vectors(self.audio(mel_BSM.transpose(1, 2)))


def _unit_vectors(x_BDT: Tensor) -> Tensor:
    inner_BTD = x_BDT[:, :, MARGIN_FRAMES:-MARGIN_FRAMES].transpose(1, 2)
    return functional.normalize(inner_BTD, dim=-1)


class TorchNetworks:
    """Networks as the judge takes them; one clip at a time, on one thread."""

    def __init__(self, members: Sequence[LandmarkSyncNet]) -> None:
        self.members = [member.eval() for member in members]

    def embed(self, shape_TV: Floats, mel_SM: Floats) -> tuple[list[Floats], list[Floats]]:
        """Return per network unit vectors (T - 10, D) of picture and of sound."""
        shape_BTV, mel_BSM = (torch.from_numpy(values)[None] for values in (shape_TV, mel_SM))
        with torch.inference_mode(), _one_thread():
            picture = [net.embed_visual(shape_BTV)[0].numpy() for net in self.members]
            sound = [net.embed_audio(mel_BSM)[0].numpy() for net in self.members]
        return picture, sound


@contextmanager
def _one_thread() -> Iterator[None]:
    """Fix the order of additions, independent of the machine's thread count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
