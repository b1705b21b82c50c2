"""Safetensors files: other people's tensors, and the JSON that our own files carry."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor

from pipeline.atomic import replacing
from pipeline.errors import ParamsError, StorageError, WeightsError
from pipeline.weights.safetensors_metadata import METADATA_KEY, stored_json

Config = TypeVar("Config")


def read_safetensors(source: Path | bytes) -> dict[str, Tensor]:
    """Read a safetensors file, float32.

    Args:
        source: a file, or the bytes of one; the messages about bytes name no file.
    Raises:
        WeightsError: absent or not safetensors.
    """
    try:
        state = load(source) if isinstance(source, bytes) else load_file(source)
    except (OSError, SafetensorError) as error:
        where = "" if isinstance(source, bytes) else f"{source}: "
        raise WeightsError(f"{where}cannot be read as safetensors: {error}") from error
    return {key: tensor.float() for key, tensor in state.items()}


def write_safetensors(path: Path, state: dict[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and one JSON object, at once. The same content gives the same bytes.

    Raises:
        StorageError: the disk is full or not writable.
    """
    try:
        with replacing(path) as part:
            save_file(state, part, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    except SafetensorError as error:  # what a full disk is to that library
        raise StorageError(f"{path}: cannot be written: {error}") from error


def configured(path: Path, read: Callable[[], Config]) -> Config:
    """Return what is read of the configuration in a file's header.

    Raises:
        WeightsError: `read` finds a value missing, unknown or impossible.
    """
    try:
        return read()
    except (KeyError, TypeError, ValueError, ParamsError) as error:
        raise WeightsError(f"{path}: its configuration is unusable: {error}") from error


def read_metadata(path: Path, model: str) -> dict[str, Any]:
    """Return the JSON of a file of ours, whose `model` must be this one.

    Raises:
        WeightsError: no such file, not written by this project, or another model's.
    """
    metadata = stored_json(path)
    if metadata.get("model") != model:
        raise WeightsError(f"{path}: holds {metadata.get('model')!r}, not {model!r}")
    return metadata
