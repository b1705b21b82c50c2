"""LPIPS with VGG16: perceptual distance of two images in the feature space of a classifier.

Keys and order of the state dict are those of `lpips.LPIPS(net="vgg")` 0.1.4: the five 1 x 1 weights
appear twice, as `lin0` and `lins.0`, which are one tensor; loading uses the second.

Shape suffixes: N images, C channels, H height, W width.
Source: Simonyan and Zisserman, "Very Deep Convolutional Networks" (2015), configuration D; Zhang et
al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018).
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = (2, 2, 3, 3, 3)
MEAN = (-0.030, -0.088, -0.188)
DEVIATION = (0.458, 0.448, 0.450)
"""Of ImageNet, for images in -1 ... 1."""
NORM_EPS = 1e-10


class LpipsVgg(nn.Module):
    """LPIPS distance of images. Frozen use: `requires_grad_(False)`, `eval()`."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.scaling_layer = _Scaling()
        self.net = _Vgg(widths)
        lins = [_ChannelWeights(width) for width in widths]
        for number, lin in enumerate(lins):
            self.add_module(f"lin{number}", lin)
        self.lins = nn.ModuleList(lins)

    def forward(self, one_N3HW: Tensor, other_N3HW: Tensor) -> Tensor:
        """Return the distances (N,), float32 or wider.

        Args:
            one_N3HW: RGB, -1 ... 1, at least 16 pixels high and wide.
            other_N3HW: the images to compare with, of the same shape.
        """
        ours = self.net(self.scaling_layer(one_N3HW))
        theirs = self.net(self.scaling_layer(other_N3HW))
        layers = [
            lin((_unit(a_NCHW) - _unit(b_NCHW)).square()).mean(dim=(1, 2))
            for lin, a_NCHW, b_NCHW in zip(self.lins, ours, theirs, strict=True)
        ]
        return torch.stack(layers).sum(dim=0)


def load_public(network: LpipsVgg, vgg16: Mapping[str, Tensor], lins: Mapping[str, Tensor]) -> None:
    """Load torchvision's VGG16 (`vgg16-397923af.pth`) and lpips' five weights (`vgg.pth`).

    Raises:
        KeyError: one of the files lacks a weight.
        RuntimeError: shapes differ.
    """
    state = {f"net.{key}": _feature(vgg16, key) for key in network.net.state_dict()}
    for number in range(len(network.lins)):
        weight = lins[f"lin{number}.model.1.weight"]
        state |= {f"{name}.model.1.weight": weight for name in (f"lin{number}", f"lins.{number}")}
    state |= {f"scaling_layer.{k}": v for k, v in network.scaling_layer.state_dict().items()}
    network.load_state_dict(state)


def _feature(vgg16: Mapping[str, Tensor], key: str) -> Tensor:
    """Look up `slice3.10.weight` by torchvision's name, `features.10.weight`."""
    return vgg16["features." + key.partition(".")[2]]


class _Scaling(nn.Module):
    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, images_N3HW: Tensor) -> Tensor:
        return (images_N3HW - self.shift) / self.scale


class _Vgg(nn.Module):
    """The convolutions of VGG16 in five slices, each from a pooling to the ReLU before the next.

    Layers are numbered as in the whole network (0 ... 29), for the names in the state dict.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        number, channels = 0, 3
        for index, (width, count) in enumerate(zip(widths, CONVOLUTIONS, strict=True), start=1):
            layers: OrderedDict[str, nn.Module] = OrderedDict()
            if index > 1:
                layers[str(number)] = nn.MaxPool2d(2)
                number += 1
            for _ in range(count):
                layers[str(number)] = nn.Conv2d(channels, width, 3, padding=1)
                layers[str(number + 1)] = nn.ReLU()
                number, channels = number + 2, width
            self.add_module(f"slice{index}", nn.Sequential(layers))

    def forward(self, images_N3HW: Tensor) -> list[Tensor]:
        features, found = images_N3HW, []
        for part in self.children():
            features = part(features)
            found.append(features)
        return found


class _ChannelWeights(nn.Module):
    """Weighted sum over channels: a 1 x 1 convolution. Number 0 of its list was a dropout.

    Computed as product and sum, so that autocast leaves it in float32: squares of unit vectors are
    too small for float16.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"1": _Weight(channels)})

    def forward(self, difference_NCHW: Tensor) -> Tensor:
        (weight_1C11,) = self.parameters()
        return (difference_NCHW * weight_1C11.to(difference_NCHW.dtype)).sum(dim=1)


class _Weight(nn.Module):
    """The weight of a 1 x 1 convolution to one channel, under its name; no layer to be cast."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, channels, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Conv2d does


def _unit(features_NCHW: Tensor) -> Tensor:
    """Scale each position's channels to length 1, in float32 or wider."""
    wide = features_NCHW.to(torch.promote_types(features_NCHW.dtype, torch.float32))
    length_N1HW: Tensor = torch.linalg.vector_norm(wide, dim=1, keepdim=True)
    return wide / (length_N1HW + NORM_EPS)
