"""Writing and reading the weights that `sync` reads: pipeline/judge/landmark/weights.py."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import WeightsError
from pipeline.judge.landmark.networks import Arrays
from pipeline.judge.landmark.weights import load_arrays, load_metadata
from pipeline.weights.safetensors_files import write_safetensors
from trainers.systems.landmark_judge.network import LandmarkSyncNet, NetworkConfig


def save_networks(
    path: Path, members: Sequence[LandmarkSyncNet], metadata: Mapping[str, Any]
) -> None:
    """Write all members as float16 (half the size, no measurable loss), plus JSON metadata.

    Raises:
        StorageError: the disk is full or not writable.
    """
    tensors = {
        f"{index}.{name}": tensor.half() if tensor.is_floating_point() else tensor
        for index, member in enumerate(members)
        for name, tensor in member.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    header = {"config": asdict(members[0].config), "members": len(members), **metadata}
    write_safetensors(path, tensors, header)


def load_networks(path: Path) -> list[LandmarkSyncNet]:
    """Read all members, as float32.

    Raises:
        WeightsError: the file is absent or is not what `save_networks` writes.
    """
    header = load_metadata(path)
    try:
        config = NetworkConfig(**header["config"])
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path}: not weights of the landmark judge: {error}") from error
    return [_member(arrays, config, path) for arrays in load_arrays(path)]


def _member(arrays: Arrays, config: NetworkConfig, path: Path) -> LandmarkSyncNet:
    network = LandmarkSyncNet(config)
    state = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
    found = network.load_state_dict(state, strict=False)
    missing = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        raise WeightsError(f"{path}: keys do not fit the network: {missing or list(arrays)}")
    return network
