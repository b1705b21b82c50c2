"""A generator on disk: our own safetensors, with its configuration in the header.

There are no published weights, so there is no published layout.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.weights import safetensors_files
from pipeline.weights.safetensors_files import configured, read_safetensors, write_safetensors
from trainers.frozen.public_files import fill
from trainers.systems.stabilized.configs import TalkerConfig
from trainers.systems.stabilized.network import TalkerGenerator

MODEL = "stabilized_generator"


def save_safetensors(
    path: Path, generator: TalkerGenerator, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, configuration and `metadata` (JSON values) in one file, at once.

    Raises:
        StorageError: the disk is full or not writable.
    """
    header = {**(metadata or {}), "model": MODEL, "config": generator.config.section()}
    state = {key: tensor.contiguous() for key, tensor in generator.state_dict().items()}
    write_safetensors(path, state, header)


def load_safetensors(path: Path) -> TalkerGenerator:
    """Read our own file into a new generator on the CPU, float32, in training mode.

    Raises:
        WeightsError: no such file, not written by `save_safetensors`, or altered.
    """
    metadata = read_metadata(path)
    config = configured(path, lambda: TalkerConfig.from_section(metadata["config"]))
    generator = TalkerGenerator(config)
    fill(generator, read_safetensors(path), path)
    return generator


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON stored with the weights.

    Raises:
        WeightsError: no such file, or not a generator written by `save_safetensors`.
    """
    return safetensors_files.read_metadata(path, MODEL)
