"""Convolutions with fewer multiplications: Winograd's F(4 x 4, 3 x 3), in float32.

Four outputs of a filter of three taps need 6 multiplications instead of 12; in two dimensions a
tile of 4 x 4 outputs needs 36 instead of 144. Tiles of 6 x 6 inputs are mapped linearly to 36
numbers, multiplied with the kernel mapped likewise (which is where channels are summed, 36 matrix
products), and mapped back. A stride of 2 is brought to a stride of 1 by taking the s x s pixels
under a step as channels, so a 5 x 5 kernel of stride 2 becomes 3 x 3 with a border of zeros.

Rounding errors are about six times those of a direct convolution. With bfloat16 they would be far
too large: for float32 alone.

Shape suffixes: B windows, C channels, H x W pixels, P = 36 products, N tiles of all windows,
O output channels.
Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2016).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

OUTPUTS, TAPS = 4, 3
INPUTS = OUTPUTS + TAPS - 1

_INTO = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_BACK = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class WinogradConv2d(nn.Module):
    """Computes what a given convolution computes; input and output are channels-last."""

    into: Tensor
    back: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Conv2d) -> None:
        """Map the kernel, in float64.

        Args:
            layer: with a bias, square strides, and a kernel of at most 3 strides.
        """
        super().__init__()
        assert suits(layer), layer
        assert layer.bias is not None
        self.stride, self.kernel = layer.stride[0], layer.kernel_size
        self.padding = tuple(int(side) for side in layer.padding)
        self.register_buffer("into", _squared(_INTO))
        self.register_buffer("back", _squared(_BACK))
        self.register_buffer("weight", _mapped(layer.weight.detach(), self.stride))
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, planes_BCHW: Tensor) -> Tensor:
        """Return (B, O, H', W') as the convolution does."""
        windows, _, height, width = planes_BCHW.shape
        down, right = self._outputs(height, 0), self._outputs(width, 1)
        tiles = windows, -(-down // OUTPUTS), -(-right // OUTPUTS)
        values = torch.mm(self.into, self._tiles(planes_BCHW, *tiles[1:]))
        products_PNO = torch.bmm(values.view(len(self.into), -1, self.weight.shape[1]), self.weight)
        made = torch.mm(self.back, products_PNO.view(len(self.into), -1))
        made = made.view(OUTPUTS, OUTPUTS, *tiles, -1).permute(2, 3, 0, 4, 1, 5)
        whole = made.reshape(windows, OUTPUTS * tiles[1], OUTPUTS * tiles[2], -1)
        return (whole[:, :down, :right] + self.bias).permute(0, 3, 1, 2)

    def _outputs(self, length: int, axis: int) -> int:
        return (length + 2 * self.padding[axis] - self.kernel[axis]) // self.stride + 1

    def _tiles(self, planes_BCHW: Tensor, down: int, right: int) -> Tensor:
        """Return (36, N times channels): input y, x of every tile; pixels under a step follow."""
        step, (top, left) = self.stride, self.padding
        bottom = step * (OUTPUTS * down + TAPS - 1) - planes_BCHW.shape[2] - top
        end = step * (OUTPUTS * right + TAPS - 1) - planes_BCHW.shape[3] - left
        padded = functional.pad(planes_BCHW.permute(0, 2, 3, 1), (0, 0, left, end, top, bottom))
        windows, height, width, channels = padded.shape
        steps = padded.reshape(windows, height // step, step, width // step, step, channels)
        tiles = steps.unfold(1, INPUTS, OUTPUTS).unfold(3, INPUTS, OUTPUTS)
        found: Tensor = tiles.permute(6, 7, 0, 1, 3, 2, 4, 5).reshape(INPUTS**2, -1)
        return found


def suits(layer: nn.Module) -> bool:
    """Return whether a layer is a convolution that these maps cover."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.stride[0] == layer.stride[1]
        and all(2 * layer.stride[0] < side <= TAPS * layer.stride[0] for side in layer.kernel_size)
    )


def _squared(rows: tuple[tuple[int, ...], ...]) -> Tensor:
    """Return the map over both axes: the Kronecker product with itself."""
    matrix = torch.tensor(rows, dtype=torch.float32)
    return torch.kron(matrix, matrix)


def _mapped(weight_OCHW: Tensor, step: int) -> Tensor:
    """Return the kernel as (36, step * step * C, O)."""
    height, width = weight_OCHW.shape[2:]
    size = TAPS * step
    padded = functional.pad(weight_OCHW.double(), (0, size - width, 0, size - height))
    taps = padded.reshape(*weight_OCHW.shape[:2], TAPS, step, TAPS, step)
    maps = torch.tensor(_KERNEL, dtype=torch.float64)
    mapped = torch.einsum("pi,qj,ociyjx->pqyxco", maps, maps, taps)
    return mapped.flatten(2, 4).flatten(0, 1).float().contiguous()
