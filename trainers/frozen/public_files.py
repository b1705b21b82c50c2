"""Tensors from other people's files, as data only: nothing a file says is ever run."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline import digest
from pipeline.errors import WeightsError
from pipeline.weights.torch_files import read_torch

WRAPPERS = ("module", "model", "state_dict")
"""Keys under which checkpoints hide their weights."""


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, float32.

    Raises:
        WeightsError: absent or not safetensors.
    """
    try:
        return {key: tensor.float() for key, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}") from error


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


def file_sha256(path: Path) -> str:
    """Return the digest of a file, hex, without holding it in memory.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        return digest.file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error
