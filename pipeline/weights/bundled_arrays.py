"""Weights that lie in this repository beside the code that reads them, as numpy arrays."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from pipeline.digest import file_sha256
from pipeline.errors import WeightsError

FIX = "restore it with git"


def read_bundled(path: Path) -> Mapping[str, NDArray[Any]]:
    """Return the arrays of a safetensors file by name, as stored.

    Raises:
        WeightsError: the file is absent or no such file.
    """
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}; {FIX}") from error


@cache
def bundled_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hex.

    Raises:
        WeightsError: it is absent.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}; {FIX}") from error
