"""The network that is trained, and how it becomes the file that `quality` reads.

Shapes: B = batch, C = 3 planes, P x P = 48 x 48 input.
"""

import torch
from torch import Tensor, nn

from pipeline.quality.cover import INPUT_SCALE, LAYERS

HIDDEN = 32


class CoverNetwork(nn.Module):
    """Four convolutions and two linear layers; batch statistics are folded in when saved."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(layer.channels_in, layer.channels_out, layer.kernel, layer.stride)
            for layer in LAYERS
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.channels_out) for layer in LAYERS)
        self.hidden = nn.Linear(LAYERS[-1].channels_out * 9, HIDDEN)
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, planes_BCPP: Tensor) -> Tensor:
        """Return the log-odds that the mouth is covered, (B,); input 0 to 255."""
        value = (planes_BCPP - 128) * INPUT_SCALE
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            value = torch.relu(norm(convolution(value)))
        value = torch.relu(self.hidden(self.dropout(value.flatten(1))))
        return torch.as_tensor(self.out(value)).squeeze(1)

    def as_arrays(self) -> dict[str, Tensor]:
        """Return the tensors of `pipeline.quality.cover`, float16."""
        found = {}
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            weight, bias = _folded(convolution, norm)
            found[f"conv{index}.weight"], found[f"conv{index}.bias"] = weight, bias
        for name, layer in (("hidden", self.hidden), ("out", self.out)):
            found[f"{name}.weight"], found[f"{name}.bias"] = layer.weight, layer.bias
        return {key: tensor.detach().half().contiguous() for key, tensor in found.items()}


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return (channels out, C * kernel * kernel) and (channels out,) of both layers as one."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    assert convolution.bias is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = convolution.weight * gain[:, None, None, None]
    bias = (convolution.bias - norm.running_mean) * gain + norm.bias
    return weight.flatten(1), bias
