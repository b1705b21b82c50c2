"""The SyncNet judge's weights: a path that the user names, or the official file.

The official file is downloaded at first use into the weights folder. Its digest is
published nowhere, so the first file that fits the network (`read_network`) is trusted, and pinned
from then on (pipeline/weights/first_use.py).
"""

from pathlib import Path

from pipeline.errors import WeightsError
from pipeline.weights import files as weights

NAME = "syncnet_v2.model"


def _is_syncnet(content: bytes) -> None:
    from pipeline.judge.syncnet.network import read_network  # loads torch, seldom needed

    read_network(content)


VALIDATORS: weights.Validators = {NAME: _is_syncnet}


def find(path: str = "") -> Path:
    """Return the weights file; without a path it is fetched if it is not here yet.

    Args:
        path: `sync.syncnet_weights` of params.yaml; such a file is compared with no pinned digest.

    Raises:
        WeightsUnavailableError: without a path: the download failed.
        WeightsError: no such file, its digest is not the pinned one, or it holds no SyncNet.
        StorageError: the weights folder or the pinned digests cannot be written.
    """
    if not path:
        return weights.fetch([NAME], VALIDATORS)[0]
    own = Path(path).expanduser()
    if not own.is_file():
        raise WeightsError(
            f"{own}: no such file; correct sync.syncnet_weights in params.yaml, or leave it empty "
            "to fetch the official file"
        )
    return own
