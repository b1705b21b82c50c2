"""AVSyncNet on disk: safetensors with the configuration in the header, whole or its audio tower.

There are no published weights, so there is no published layout.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.weights import safetensors_files
from pipeline.weights.safetensors_files import configured, read_safetensors, write_safetensors
from trainers.frozen.public_files import fill
from trainers.systems.avsyncnet.configs import AvSyncNetConfig
from trainers.systems.avsyncnet.network import AudioTower, AvSyncNet

MODEL = "avsyncnet"
TOWER = "avsyncnet_audio_tower"


def save_safetensors(
    path: Path, network: AvSyncNet, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, configuration and `metadata` (JSON values) in one file, at once.

    Raises:
        StorageError: the disk is full or not writable.
    """
    _save(path, network, {**(metadata or {}), "model": MODEL, "config": network.config.section()})


def save_audio_tower(path: Path, tower: AudioTower, config: AvSyncNetConfig) -> None:
    """Write the audio tower alone: all of AVSyncNet that a generator needs.

    Raises:
        StorageError: the disk is full or not writable.
    """
    _save(path, tower, {"model": TOWER, "config": config.section()})


def load_safetensors(path: Path) -> AvSyncNet:
    """Read our own file into a new network on the CPU, float32, in training mode.

    Raises:
        WeightsError: no such file, not written by `save_safetensors`, or altered.
    """
    network = AvSyncNet(_config(path, MODEL))
    fill(network, read_safetensors(path), path)
    return network


def load_audio_tower(path: Path) -> AudioTower:
    """Read what `save_audio_tower` wrote, on the CPU, float32, in training mode.

    Raises:
        WeightsError: no such file, not written by `save_audio_tower`, or altered.
    """
    tower = AudioTower(_config(path, TOWER))
    fill(tower, read_safetensors(path), path)
    return tower


def _save(path: Path, network: nn.Module, header: Mapping[str, Any]) -> None:
    state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    write_safetensors(path, state, header)


def _config(path: Path, model: str) -> AvSyncNetConfig:
    metadata = safetensors_files.read_metadata(path, model)
    return configured(path, lambda: AvSyncNetConfig.from_section(metadata["config"]))
