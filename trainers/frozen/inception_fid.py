"""Inception v3 for the Fréchet inception distance: 2048 features per image.

Names and shapes are those of `pt_inception-2015-12-05-6726825d.pth`, the port of TensorFlow's
`inception-2015-12-05` that common FID implementations use: 1008 classes, no auxiliary classifier,
average pooling without padded pixels, and max instead of average pooling in the last block.

Shape suffixes: N images, C channels, H height, W width.
Source: Szegedy et al., "Rethinking the Inception Architecture" (CVPR 2016); Heusel et al., "GANs
Trained by a Two Time-Scale Update Rule" (NeurIPS 2017) for the use of its last average.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

INPUT_PX = 299
NORM_EPS = 1e-3

Kernel = int | tuple[int, int]
Layer = tuple[str, int, Kernel]
"""Name, output channels, kernel. Padded to keep the size, unless the layer halves it."""
Pool = Literal["average", "maximum", "halve"]

WIDE, TALL = (1, 7), (7, 1)


class InceptionFid(nn.Module):
    """Images -> features. Frozen use: `requires_grad_(False)`, `eval()`."""

    def __init__(self, thin: int = 1) -> None:
        """Divide every channel count by `thin`; 1 is the published network."""
        super().__init__()
        self.num_features = 2048 // thin
        stem: list[tuple[str, int, int, int, int]] = [
            ("Conv2d_1a_3x3", 32, 3, 2, 0),
            ("Conv2d_2a_3x3", 32, 3, 1, 0),
            ("Conv2d_2b_3x3", 64, 3, 1, 1),
            ("Conv2d_3b_1x1", 80, 1, 1, 0),
            ("Conv2d_4a_3x3", 192, 3, 1, 0),
        ]
        channels = 3
        for name, out, kernel, stride, padding in stem:
            self.add_module(name, _Conv(channels, out // thin, kernel, stride, padding))
            channels = out // thin
        for name, branches, pool, pooled in _BLOCKS:
            block = _Block(channels, branches, pool, pooled // thin, thin)
            self.add_module(name, block)
            channels = block.out_channels
        self.fc = nn.Linear(channels, 1008)
        """Unused; present in the published file."""

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Return the features (N, 2048).

        Args:
            images_N3HW: RGB, 0 ... 1, any size; scaled to 299 x 299 as in pytorch-fid
                (bilinear, without antialias), because the interpolation changes the distance.
        """
        size = (INPUT_PX, INPUT_PX)
        x = functional.interpolate(images_N3HW, size, mode="bilinear", align_corners=False)
        x = 2 * x - 1
        for name, part in self.named_children():
            if name == "fc":
                break
            x = part(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = functional.max_pool2d(x, 3, 2)
        return x.mean(dim=(2, 3))


class _Conv(nn.Module):
    def __init__(
        self, channels: int, out: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=NORM_EPS)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x_NCHW)))


Branch = tuple[Layer | tuple[Layer, Layer], ...]
"""Layers in sequence; the last may be two in parallel."""


class _Block(nn.Module):
    """Parallel branches and a pooling, concatenated along the channels."""

    def __init__(
        self, channels: int, branches: Sequence[Branch], pool: Pool, pooled: int, thin: int
    ) -> None:
        super().__init__()
        self._paths = [[_names(layer) for layer in branch] for branch in branches]
        self._pool = pool
        self.out_channels = pooled or channels
        for branch in branches:
            width = channels
            for place, layer in enumerate(branch):
                last = place == len(branch) - 1
                width = self._add(layer, width, halve=last and pool == "halve", thin=thin)
            self.out_channels += width
        if pooled:
            self.branch_pool = _Conv(channels, pooled, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        outs = []
        for path in self._paths:
            y = x_NCHW
            for names in path:
                y = torch.cat([self.get_submodule(name)(y) for name in names], dim=1)
            outs.append(y)
        return torch.cat([*outs, self._pooled(x_NCHW)], dim=1)

    def _pooled(self, x_NCHW: Tensor) -> Tensor:
        if self._pool == "halve":
            return functional.max_pool2d(x_NCHW, 3, 2)
        if self._pool == "maximum":
            near = functional.max_pool2d(x_NCHW, 3, 1, 1)
        else:
            near = functional.avg_pool2d(x_NCHW, 3, 1, 1, count_include_pad=False)
        pooled: Tensor = self.branch_pool(near)
        return pooled

    def _add(
        self, layer: Layer | tuple[Layer, Layer], channels: int, halve: bool, thin: int
    ) -> int:
        width = 0
        for name, out, kernel in _layers(layer):
            stride, padding = (2, 0) if halve else (1, _same(kernel))
            self.add_module(name, _Conv(channels, out // thin, kernel, stride, padding))
            width += out // thin
        return width


def _layers(layer: Layer | tuple[Layer, Layer]) -> tuple[Layer, ...]:
    if len(layer) == 3:
        return (layer,)
    return layer


def _names(layer: Layer | tuple[Layer, Layer]) -> list[str]:
    return [name for name, _, _ in _layers(layer)]


def _same(kernel: Kernel) -> Kernel:
    return kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)


_A: tuple[Branch, ...] = (
    (("branch1x1", 64, 1),),
    (("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
    (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
)
_B: tuple[Branch, ...] = (
    (("branch3x3", 384, 3),),
    (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
)


def _c(inner: int) -> tuple[Branch, ...]:
    return (
        (("branch1x1", 192, 1),),
        (("branch7x7_1", inner, 1), ("branch7x7_2", inner, WIDE), ("branch7x7_3", 192, TALL)),
        (
            ("branch7x7dbl_1", inner, 1),
            ("branch7x7dbl_2", inner, TALL),
            ("branch7x7dbl_3", inner, WIDE),
            ("branch7x7dbl_4", inner, TALL),
            ("branch7x7dbl_5", 192, WIDE),
        ),
    )


_D: tuple[Branch, ...] = (
    (("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)),
    (
        ("branch7x7x3_1", 192, 1),
        ("branch7x7x3_2", 192, WIDE),
        ("branch7x7x3_3", 192, TALL),
        ("branch7x7x3_4", 192, 3),
    ),
)
_E: tuple[Branch, ...] = (
    (("branch1x1", 320, 1),),
    (
        ("branch3x3_1", 384, 1),
        (("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))),
    ),
    (
        ("branch3x3dbl_1", 448, 1),
        ("branch3x3dbl_2", 384, 3),
        (("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))),
    ),
)
_BLOCKS: tuple[tuple[str, tuple[Branch, ...], Pool, int], ...] = (
    ("Mixed_5b", _A, "average", 32),
    ("Mixed_5c", _A, "average", 64),
    ("Mixed_5d", _A, "average", 64),
    ("Mixed_6a", _B, "halve", 0),
    ("Mixed_6b", _c(128), "average", 192),
    ("Mixed_6c", _c(160), "average", 192),
    ("Mixed_6d", _c(160), "average", 192),
    ("Mixed_6e", _c(192), "average", 192),
    ("Mixed_7a", _D, "halve", 0),
    ("Mixed_7b", _E, "average", 192),
    ("Mixed_7c", _E, "maximum", 192),
)
"""Name, branches, pooling, channels of the convolution after the pooling (0: none)."""
