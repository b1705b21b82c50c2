"""The area under the ROC curve of scores."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = Sequence[float] | NDArray[Any]


def area_under_curve(positive: Scores, negative: Scores) -> float:
    """Return how often a positive scores above a negative, ties half; NaN without both, or of NaN.

    Args:
        positive: scores of those that are to score higher.
    """
    high, low = np.asarray(positive), np.sort(np.asarray(negative))
    if not high.size or not low.size or np.isnan(high).any() or np.isnan(low).any():
        return math.nan
    above, at_least = (int(np.searchsorted(low, high, side).sum()) for side in ("left", "right"))
    return (above + at_least) / (2 * high.size * low.size)
