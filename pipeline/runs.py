"""Runs of True in an array of flags."""

import numpy as np
from numpy.typing import NDArray


def runs_of(flags_T: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return [start, end) of every run of True, ascending."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags_T, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
