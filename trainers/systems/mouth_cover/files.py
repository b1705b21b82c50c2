"""Writing the weights that `quality` reads."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from pipeline.atomic import replacing
from pipeline.errors import StorageError
from trainers.systems.mouth_cover.network import CoverNetwork


def save(path: Path, network: CoverNetwork) -> None:
    """Write the network at once. The same weights give the same bytes.

    Raises:
        StorageError: the disk is full or not writable.
    """
    try:
        with replacing(path) as part:
            save_file(network.as_arrays(), part)
    except SafetensorError as error:  # what a full disk is to that library
        raise StorageError(f"{path}: cannot be written: {error}") from error
