"""The features of VGG-19 that perceptual losses compare: the first ReLU of each of its five blocks.

Layers are numbered as torchvision's, `features.0` to `features.28`, for the names of the published
file; what lies behind them is not read.

Shape suffixes: N images, C channels, H height, W width.
Source: Simonyan and Zisserman, "Very Deep Convolutional Networks" (2015), configuration E.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = (2, 2, 4, 4, 1)
"""Of each block; of the last one only the first is looked at."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, for images in 0 ... 1."""
MIN_SIZE_PX = 16


class Vgg19(nn.Module):
    """Five feature maps of an image. Frozen use: `requires_grad_(False)`, `eval()`."""

    shift: Tensor
    scale: Tensor

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False)
        layers: list[nn.Module] = []
        self.seen: list[int] = []
        channels = 3
        for block, (width, count) in enumerate(zip(widths, CONVOLUTIONS, strict=True)):
            if block:
                layers.append(nn.MaxPool2d(2))
            for number in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
                if number == 0:
                    self.seen.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)

    def forward(self, images_N3HW: Tensor) -> list[Tensor]:
        """Return five feature maps, each half as large as the one before.

        Args:
            images_N3HW: RGB, -1 ... 1, at least 16 pixels high and wide.
        """
        x_NCHW, found = ((images_N3HW + 1) / 2 - self.shift) / self.scale, []
        for number, layer in enumerate(self.features):
            x_NCHW = layer(x_NCHW)
            if number in self.seen:
                found.append(x_NCHW)
        return found


def load_public(network: Vgg19, state: Mapping[str, Tensor]) -> None:
    """Load torchvision's `vgg19-dcbb9e9d.pth`.

    Raises:
        KeyError: it lacks a weight.
        RuntimeError: shapes differ.
    """
    network.load_state_dict({key: state[key] for key in network.state_dict()})


def small_vgg19() -> Vgg19:
    """Return the stand-in: an eighth of the width, random weights that keep the scale."""
    network = Vgg19(widths=(8, 16, 32, 64, 64))
    for weight in network.parameters():
        if weight.ndim == 4:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        else:
            nn.init.zeros_(weight)
    return network
