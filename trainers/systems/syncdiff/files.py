"""SyncDiff's network on disk: our own safetensors, with its configuration in the header.

There are no published weights of SyncDiff, so there is no published layout.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.weights import safetensors_files
from pipeline.weights.safetensors_files import configured, read_safetensors, write_safetensors
from trainers.frozen.public_files import fill
from trainers.systems.syncdiff.configs import SyncDiffConfig
from trainers.systems.syncdiff.hearing import empty_hearing
from trainers.systems.syncdiff.network import SyncDiffNetwork

MODEL = "syncdiff"


def save_safetensors(
    path: Path, network: SyncDiffNetwork, audio: str, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, configuration and `metadata` (JSON values) in one file, at once.

    Args:
        audio: name of the front end, which decides the shape of the part that hears.

    Raises:
        StorageError: the disk is full or not writable.
    """
    config = network.config.section()
    header = {**(metadata or {}), "model": MODEL, "config": config, "audio": audio}
    write_safetensors(path, network.state_dict(), header)


def load_safetensors(path: Path) -> SyncDiffNetwork:
    """Read our own file into a new network on the CPU, float32, to be trained.

    Raises:
        WeightsError: no such file, not written by `save_safetensors`, or altered.
    """
    metadata = read_metadata(path)
    config = configured(path, lambda: SyncDiffConfig.from_section(metadata["config"]))
    hearing = configured(path, lambda: empty_hearing(metadata["audio"]))
    network = SyncDiffNetwork(config, hearing)
    fill(network, read_safetensors(path), path)
    return network


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON stored with the weights: configuration, front end, what the trainer gave.

    Raises:
        WeightsError: no such file, or not a network written by `save_safetensors`.
    """
    return safetensors_files.read_metadata(path, MODEL)
