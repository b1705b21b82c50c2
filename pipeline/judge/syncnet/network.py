"""SyncNet: the published two-branch network, its state dict, and a faster equivalent.

`SyncNet` has the layers and key names of `syncnet_v2.model`. `FastTower` is a faster equivalent of
one of its branches: batch norms are folded into the weights before them, the five frames of
a window are channels of one picture (so the first 3-D convolution is a 2-D one; a channel with
weights of zero makes it 16, which suits vector units), tensors are channels-last, a ReLU follows
its max-pool instead of preceding it (both orders give the same), the last convolution, which covers
its whole input, is a linear map, and on request most others multiply less (`winograd`).

Shape suffixes: B windows, C channels, D embedding, H x W pixels, K cepstra, M mfcc frames.
Source: golden G1; Chung & Zisserman, "Out of time" (2016).
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import WeightsError
from pipeline.judge.syncnet.winograd import WinogradConv2d, suits
from pipeline.weights.safetensors_files import read_safetensors
from pipeline.weights.torch_files import read_torch

WINDOW_FRAMES = 5
WINDOW_MFCC = 20
"""MFCC frames of 10 ms per audio window: five video frames."""
EMBEDDING = 1024
WIDE_LIP_LAYERS = 6
"""The first two convolutions, each with its max-pool and ReLU: 4.5 MB a window after the first."""
MIN_WINOGRAD_CHANNELS = 96
"""With fewer input channels the maps cost what they save."""
LIP_CHANNELS = 16
"""5 frames x 3 colours, and one channel whose weights are zero."""
FIX = (
    "delete the file and remove its line from trusted.lock.json if it has one, or correct "
    "--weights or sync.syncnet_weights in params.yaml"
)


class SyncNet(nn.Module):
    """The published network; sequences are numbered as in its file."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_sound_layer(1, 64, 3, padding=1),
            nn.MaxPool2d(1, 1),
            *_sound_layer(64, 192, 3, padding=1),
            nn.MaxPool2d(3, (1, 2)),
            *_sound_layer(192, 384, 3, padding=1),
            *_sound_layer(384, 256, 3, padding=1),
            *_sound_layer(256, 256, 3, padding=1),
            nn.MaxPool2d(3, 2),
            *_sound_layer(256, 512, (5, 4)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_lip_layer(3, 96, (5, 7, 7), stride=2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip_layer(96, 256, (1, 5, 5), stride=2, padding=1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_lip_layer(256, 256, (1, 3, 3), padding=1),
            *_lip_layer(256, 256, (1, 3, 3), padding=1),
            *_lip_layer(256, 256, (1, 3, 3), padding=1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip_layer(256, 512, (1, 6, 6)),
        )

    def forward_lip(self, frames_BCTHW: Tensor) -> Tensor:
        """Embed (B, 3, 5, 224, 224) BGR values 0 ... 255 into (B, 1024)."""
        embedded: Tensor = self.netfclip(self.netcnnlip(frames_BCTHW).flatten(1))
        return embedded

    def forward_aud(self, cepstra_BCKM: Tensor) -> Tensor:
        """Embed (B, 1, 13, 20) cepstra into (B, 1024)."""
        embedded: Tensor = self.netfcaud(self.netcnnaud(cepstra_BCKM).flatten(1))
        return embedded


def _sound_layer(
    inputs: int, outputs: int, kernel: int | tuple[int, int], padding: int = 0
) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def _lip_layer(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int = 1, padding: int = 0
) -> tuple[nn.Module, ...]:
    step, border = (1, stride, stride), (0, padding, padding)
    convolution = nn.Conv3d(inputs, outputs, kernel, step, border)
    return convolution, nn.BatchNorm3d(outputs), nn.ReLU()


def _head() -> nn.Sequential:
    middle = (nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU())
    return nn.Sequential(*middle, nn.Linear(512, EMBEDDING))


def load_network(path: Path) -> SyncNet:
    """Read `syncnet_v2.model`, or a .safetensors file with the same keys, in eval mode.

    Raises:
        WeightsError: the file is absent or damaged, or keys or shapes do not fit.
    """
    try:
        return read_network(path.read_bytes(), path.suffix == ".safetensors")
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file; SyncNet's weights are expected there") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}; {FIX}") from error


def read_network(content: bytes, safetensors: bool = False) -> SyncNet:
    """Build the network from the bytes of its file; no code in them is executed.

    Only `num_batches_tracked`, which is unused, may be missing.

    Raises:
        WeightsError: damaged, or keys or shapes do not fit; the message names no file.
    """
    state = _read_state(content, safetensors)
    network = SyncNet()
    own = network.state_dict()
    unknown = sorted(set(state) - set(own))
    missing = sorted(k for k in set(own) - set(state) if not k.endswith("num_batches_tracked"))
    other = sorted(k for k in set(own) & set(state) if own[k].shape != state[k].shape)
    for fault, keys in (("unknown", unknown), ("missing", missing), ("of another shape", other)):
        if keys:
            listed = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
            raise WeightsError(f"no SyncNet weights: {len(keys)} keys {fault}: {listed}")
    network.load_state_dict(state, strict=False)
    return network.eval()


def _read_state(content: bytes, safetensors: bool) -> Mapping[str, Tensor]:
    """Read a flat mapping name -> tensor."""
    try:
        state = read_safetensors(content) if safetensors else read_torch(content)
    except WeightsError:
        kind = "safetensors file" if safetensors else "PyTorch state dict"
        raise WeightsError(f"not a {kind}") from None
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(one, Tensor) for name, one in state.items()
    ):
        raise WeightsError("no SyncNet weights: not a flat mapping of names to tensors")
    return state


class FastTower(nn.Module):
    """One branch of a SyncNet in eval mode, for inference only."""

    def __init__(
        self, layers: nn.Sequential, head: nn.Sequential, winograd: bool, wide: int
    ) -> None:
        """Rewrite the layers.

        Args:
            winograd: multiply less where it is faster; float32 on a CPU alone.
            wide: how many layers have outputs so large that a few windows at a time are faster.
        """
        super().__init__()
        *folded, last, _ = _folded(layers)
        made = _pooled_first([*folded, nn.Flatten(1), *_linear(last), *_folded(head)])
        placed = [_fewer_products(layer) if winograd else layer for layer in made]
        self.first = nn.Sequential(*placed[:wide]).eval().requires_grad_(False)
        self.rest = nn.Sequential(*placed[wide:]).eval().requires_grad_(False)

    @classmethod
    def lip(cls, network: SyncNet, winograd: bool = False) -> "FastTower":
        """(B, 16, 224, 224) -> (B, 1024); channel 3 t + c is colour c of frame t.

        The last channel is any finite number.
        """
        return cls(network.netcnnlip, network.netfclip, winograd, WIDE_LIP_LAYERS)

    @classmethod
    def sound(cls, network: SyncNet, winograd: bool = False) -> "FastTower":
        """(B, 1, 13, 20) -> (B, 1024)."""
        return cls(network.netcnnaud, network.netfcaud, winograd, 0)

    def forward(self, windows_BCHW: Tensor, at_once: int | None = None) -> Tensor:
        """Embed windows.

        Args:
            at_once: windows per pass through the wide layers; all of them if not given.
        """
        size = at_once or len(windows_BCHW)
        parts = (windows_BCHW[at : at + size] for at in range(0, len(windows_BCHW), size))
        dense = (part.contiguous(memory_format=torch.channels_last) for part in parts)
        embedded: Tensor = self.rest(torch.cat([self.first(part) for part in dense]))
        return embedded


def _folded(layers: nn.Sequential) -> Iterator[nn.Module]:
    """Yield 2-D layers without batch norms that compute the same."""
    following = [*list(layers)[1:], nn.Identity()]
    for layer, after in zip(layers, following, strict=True):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Conv3d):
            yield _linear_map(layer, after)
        elif isinstance(layer, nn.MaxPool2d | nn.MaxPool3d):
            yield from _flat_pool(layer)
        elif isinstance(layer, nn.ReLU):
            yield nn.ReLU(inplace=True)


def _linear_map(layer: nn.Linear | nn.Conv2d | nn.Conv3d, after: nn.Module) -> nn.Module:
    weight, bias = layer.weight.detach().double(), _bias(layer).double()
    if isinstance(after, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        mean, var = after.running_mean, after.running_var
        assert mean is not None
        assert var is not None
        scale = after.weight.detach().double() / (var.double() + after.eps).sqrt()
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        bias = (bias - mean.double()) * scale + after.bias.detach().double()
    made = _flat_layer(layer)
    made.load_state_dict({"weight": _flat(weight).float(), "bias": bias.float()})
    return made


def _bias(layer: nn.Linear | nn.Conv2d | nn.Conv3d) -> Tensor:
    assert layer.bias is not None, "every layer of SyncNet has one"
    return layer.bias.detach()


def _flat_layer(layer: nn.Linear | nn.Conv2d | nn.Conv3d) -> nn.Module:
    """Return an empty layer whose kernel, if it had frames, has them as channels."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, layer.out_features)
    outputs, inputs, height, width = _flat(layer.weight.detach()).shape
    step, border = _plane(layer.stride), _plane(layer.padding)
    return nn.Conv2d(inputs, outputs, (height, width), step, border)


def _flat(weight: Tensor) -> Tensor:
    """Stack the frames of a 3-D kernel as channels, and pad 15 to 16."""
    if weight.ndim != 5:
        return weight
    merged = weight.transpose(1, 2).flatten(1, 2)
    spare = LIP_CHANNELS - merged.shape[1] if weight.shape[2] == WINDOW_FRAMES else 0
    return torch.cat([merged, merged.new_zeros(len(merged), spare, *merged.shape[2:])], dim=1)


def _flat_pool(layer: nn.MaxPool2d | nn.MaxPool3d) -> Iterator[nn.Module]:
    kernel = _plane(layer.kernel_size)
    if kernel != (1, 1):
        yield nn.MaxPool2d(kernel, _plane(layer.stride), _plane(layer.padding))


def _plane(size: Any) -> tuple[int, int]:
    """Return height and width of a size that may be one number, or begin with a time."""
    return (size[-2], size[-1]) if isinstance(size, tuple) else (size, size)


def _pooled_first(layers: list[nn.Module]) -> list[nn.Module]:
    """Swap each ReLU with the max-pool after it: a quarter of the work, identical bits."""
    swapped = list(layers)
    for at, (one, two) in enumerate(pairwise(layers)):
        if isinstance(one, nn.ReLU) and isinstance(two, nn.MaxPool2d):
            swapped[at], swapped[at + 1] = two, one
    return swapped


def _linear(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return a convolution whose kernel covers its whole input as a linear map, and its ReLU."""
    assert isinstance(layer, nn.Conv2d), layer
    made = nn.Linear(layer.weight[0].numel(), layer.out_channels)
    made.load_state_dict({"weight": layer.weight.detach().flatten(1), "bias": _bias(layer)})
    return made, nn.ReLU(inplace=True)


def _fewer_products(layer: nn.Module) -> nn.Module:
    """Return the same layer, or its equivalent with fewer multiplications."""
    if isinstance(layer, nn.Conv2d) and suits(layer) and layer.in_channels >= MIN_WINOGRAD_CHANNELS:
        return WinogradConv2d(layer)
    return layer
