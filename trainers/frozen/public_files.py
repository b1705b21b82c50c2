"""State dicts of published checkpoints, read as data only: no code in them is run."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.errors import WeightsError
from pipeline.weights.torch_files import read_torch

WRAPPERS = ("module", "model", "state_dict")
"""Keys under which checkpoints hide their weights."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the weights of a PyTorch file, bare or under one of `WRAPPERS`, on the CPU.

    Raises:
        WeightsError: absent, no PyTorch file, or it holds more than tensors.
    """
    content = read_torch(path)
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(map(torch.is_tensor, content.values())):
        raise WeightsError(f"{path}: holds no state dict")
    return dict(content)


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Put a state dict into a network, key by key; `path` is for the message.

    Raises:
        WeightsError: keys or shapes are not the network's.
    """
    try:
        network.load_state_dict(dict(state), assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{path}: not the weights of this network: {reason}") from error
