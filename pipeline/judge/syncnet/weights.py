"""The SyncNet judge's weights: a path that the user names, or the official file.

The official file comes from its home at first use and lies in the weights folder. Its digest is
published nowhere, so that of the first file that fits the network (`read_network`) is pinned
(pipeline/weights/first_use.py).
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
        path: what params.yaml says in `sync.syncnet_weights`; such a file is the user's own
            business and is compared with no record.

    Raises:
        WeightsUnavailableError: without a path: its home gave no file.
        WeightsError: no such file, its digest is not the pinned one, or what is to be pinned
            holds no SyncNet.
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
