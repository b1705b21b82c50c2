"""Reading of the bundled weights of both networks: float16 in safetensors, from CC0 and Apache-2.0.

How the files are made from the published ones: `benchmarks/identity_weights.py`.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load

from pipeline.digest import file_sha256
from pipeline.errors import WeightsError
from pipeline.exact_layers import Floats, on_grid

Shapes = Mapping[str, tuple[int, ...]]
FIX = "restore it with git"


def read_weights(path: Path, shapes: Shapes) -> Mapping[str, Floats]:
    """Return the arrays of a file by name, on the grid.

    Raises:
        WeightsError: the file is absent, or holds other arrays.
    """
    try:
        stored = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}; {FIX}") from error
    if {name: array.shape for name, array in stored.items()} != dict(shapes):
        raise WeightsError(f"{path}: its arrays are not those of this network; {FIX}")
    return {name: on_grid(array) for name, array in stored.items()}


@cache
def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a bundled file, hex.

    Raises:
        WeightsError: it is absent.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}; {FIX}") from error
