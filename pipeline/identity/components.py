"""Which members belong together, directly or through others."""

from collections.abc import Sequence

import numpy as np


def first_of_component(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return for every member the smallest one that it belongs together with.

    Args:
        count: of the members, which are numbered.
        pairs: members that belong together.
    """
    if not pairs:
        return list(range(count))
    from scipy.sparse import coo_array  # with csgraph 0.4 s: only where something is joined
    from scipy.sparse.csgraph import connected_components

    ends = np.asarray(pairs, int).reshape(-1, 2)
    ties = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(count, count))
    number, labels = connected_components(ties, directed=False)
    first = np.full(number, count)
    np.minimum.at(first, labels, np.arange(count))
    found: list[int] = first[labels].tolist()
    return found
