"""StableSyncNet on disk: the published `.pt` layout, and our own safetensors.

`stable_syncnet.pt` holds a dictionary with the weights under `state_dict`. Bare state dicts are
read too, and keys that all begin with `module.`, which DistributedDataParallel leaves behind.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.atomic import replacing
from pipeline.errors import StorageError, WeightsError
from pipeline.weights import safetensors_files
from pipeline.weights.safetensors_files import read_safetensors, write_safetensors
from pipeline.weights.torch_files import read_torch
from trainers.systems.stable_syncnet.configs import PUBLISHED, StableSyncNetConfig
from trainers.systems.stable_syncnet.network import StableSyncNet

MODEL = "stable_syncnet"
STATE_KEY = "state_dict"
DDP_PREFIX = "module."
SHOWN_KEYS = 3


def load_checkpoint(path: Path, config: StableSyncNetConfig | None = None) -> StableSyncNet:
    """Read a `.pt` file into a new network on the CPU, float32, in training mode.

    Args:
        config: None finds out which of the published configurations the file holds.
    Raises:
        WeightsError: no such file, not a state dict, or its keys or shapes are not the network's.
    """
    state = read_state(path)
    return _network(config or published_config(state, path), state, path)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a `.pt` file, without executing code from it.

    Raises:
        WeightsError: no such file, or it holds no state dict.
    """
    content = read_torch(path)
    state = content.get(STATE_KEY, content) if isinstance(content, dict) else content
    _check_is_state(state, path)
    if all(key.startswith(DDP_PREFIX) for key in state):
        return {key.removeprefix(DDP_PREFIX): tensor for key, tensor in state.items()}
    return dict(state)


def save_checkpoint(path: Path, network: StableSyncNet) -> None:
    """Write the published layout, at once. The same weights give the same bytes.

    Raises:
        StorageError: the disk is full or not writable.
    """
    state = {key: tensor.cpu().contiguous() for key, tensor in network.state_dict().items()}
    try:
        with replacing(path) as part, part.open("wb") as stream:
            torch.save({STATE_KEY: state}, stream)  # a stream: else the bytes hold the file's name
    except RuntimeError as error:  # what a disk that fills up midway is to torch.save
        raise StorageError(f"{path}: cannot be written: {error}") from error


def save_safetensors(
    path: Path, network: StableSyncNet, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, configuration and `metadata` (JSON values) in one file, at once.

    Raises:
        StorageError: the disk is full or not writable.
    """
    config = network.config
    header = {
        **(metadata or {}),
        "model": MODEL,
        "config": config.sections(),
        "num_frames": config.num_frames,
        "latent": config.latent,
        "resolution": config.resolution,
    }
    state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    write_safetensors(path, state, header)


def load_safetensors(path: Path) -> StableSyncNet:
    """Read our own file into a new network on the CPU, float32, in training mode.

    Raises:
        WeightsError: no such file, not written by `save_safetensors`, or altered.
    """
    config = _config_of(read_metadata(path), path)
    return _network(config, read_safetensors(path), path)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON stored with the weights: configuration, and what the trainer gave.

    Raises:
        WeightsError: no such file, or not written by `save_safetensors`.
    """
    return safetensors_files.read_metadata(path, MODEL)


def _config_of(metadata: Mapping[str, Any], path: Path) -> StableSyncNetConfig:
    try:
        sizes = {key: metadata[key] for key in ("num_frames", "latent", "resolution")}
        return StableSyncNetConfig.from_sections(metadata["config"], **sizes)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: its configuration is unusable: {error}") from error


def _network(config: StableSyncNetConfig, state: Mapping[str, Tensor], path: Path) -> StableSyncNet:
    """Build a network around loaded tensors, without initializing 400 M parameters first."""
    with torch.device("meta"):
        network = StableSyncNet(config)
    _check_fits(network, state, path)
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, assign=True)
    return network


def _check_is_state(state: Any, path: Path) -> None:
    if not isinstance(state, dict) or not state:
        raise WeightsError(f"{path}: holds no {STATE_KEY!r} and is no state dict itself")
    for key, tensor in state.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise WeightsError(f"{path}: {key!r} is {type(tensor).__name__}, not a tensor")


def _check_fits(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    needed = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
    faults = [f"{key} is missing" for key in needed if key not in found]
    faults += [f"{key} is not the network's" for key in found if key not in needed]
    faults += [
        f"{key} has shape {found[key]}, needed {shape}"
        for key, shape in needed.items()
        if key in found and found[key] != shape
    ]
    if faults:
        raise WeightsError(f"{path}: {_some(faults)}; choose the configuration it was made with")


def published_config(state: Mapping[str, Tensor], path: Path) -> StableSyncNetConfig:
    """Identify the published configuration by keys and shapes.

    The downsampling factors leave no trace in the weights; no two of the four differ by them alone.
    """
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
    for config in PUBLISHED.values():
        with torch.device("meta"):
            network = StableSyncNet(config)
        if found == {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}:
            return config
    raise WeightsError(
        f"{path}: its {len(found)} keys fit none of {', '.join(PUBLISHED)} (first key: "
        f"{next(iter(found))}); name the configuration it was made with"
    )


def _some(faults: Sequence[str]) -> str:
    more = len(faults) - SHOWN_KEYS
    return "; ".join(faults[:SHOWN_KEYS]) + (f"; and {more} more" if more > 0 else "")
