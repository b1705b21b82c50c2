"""Zero-lag smoothing along time: a Gaussian-weighted straight line through the neighbours.

Away from the ends the weights are symmetric and this is the plain Gaussian mean. At the ends the
window is one-sided, where a mean would lag behind a moving face and a line does not: motion at
constant velocity is unchanged everywhere (local linear regression, see
Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, section 6.1.1).

Used for the guides of the crop only: the template's three anchors and a steady point between the
eyes. A landmark network moves brows and nose a little when the mouth opens, though they stand still
in the picture, and a crop that follows them tells the opening to who sees nothing of the mouth. The
steady point hardly moves with the mouth, so the crop follows it at once; where the anchors lie
around it, which decides scale, roll and the rest of the place, follows slowly.

Landmarks are stored unsmoothed: at 25 fps a sigma of 1.5
frames would remove most of the lip movement (syllables come at 4 to 8 Hz).
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import elementary

TRUNCATE_SIGMAS = 3.0
AROUND = 4.0
"""Sigma of the anchors around the steady point over that of the point. Measured: docs/faces.md."""


def radius_frames(sigma_frames: float) -> int:
    """Return how many frames to either side have a weight."""
    return math.ceil(TRUNCATE_SIGMAS * sigma_frames)


def smooth_at(values: NDArray[Any], index: int, sigma_frames: float) -> NDArray[np.float64]:
    """Return the smoothed value at `index` of values (T, ...); the same as smooth(...)[index]."""
    radius = radius_frames(sigma_frames)
    before, after = min(index, radius), min(len(values) - 1 - index, radius)
    window = np.asarray(values[index - before : index + after + 1], dtype=np.float64)
    return np.asarray(np.einsum("t,t...->...", _weights(before, after, sigma_frames), window))


def smooth(values: NDArray[Any], sigma_frames: float) -> NDArray[np.float64]:
    """Smooth values (T, ...) along the first axis; sigma 0 changes nothing."""
    return np.stack([smooth_at(values, t, sigma_frames) for t in range(len(values))])


def steadied_at(guides: NDArray[Any], index: int, sigma_frames: float) -> NDArray[np.float64]:
    """Return the anchors (3, 2) at `index`; the same as steadied(...)[index].

    Args:
        guides: (T, 4, 2) three anchors and the steady point, in pixels of the frame.
        sigma_frames: of the steady point.
    """
    steady, anchors = guides[:, 3:], guides[:, :3]
    around = smooth_at(anchors - steady, index, AROUND * sigma_frames)
    return np.asarray(smooth_at(steady, index, sigma_frames) + around)


def steadied(guides: NDArray[Any], sigma_frames: float) -> NDArray[np.float64]:
    """Return the anchors (T, 3, 2) that the crops are cut by; sigma 0 changes nothing."""
    return np.stack([steadied_at(guides, t, sigma_frames) for t in range(len(guides))])


def steadied_radius(sigma_frames: float) -> int:
    """Return how many frames to either side `steadied_at` looks at."""
    return radius_frames(AROUND * sigma_frames)


@lru_cache(maxsize=256)
def _weights(before: int, after: int, sigma_frames: float) -> NDArray[np.float64]:
    """Weights of the frames -before ... +after whose sum is the fitted line at 0."""
    offset = np.arange(-before, after + 1, dtype=np.float64)
    gauss = elementary.exp(-0.5 * (offset / max(sigma_frames, 1e-9)) ** 2)
    s0, s1, s2 = (float((gauss * offset**power).sum()) for power in range(3))
    determinant = s0 * s2 - s1 * s1
    if determinant < 1e-12:
        return np.asarray(gauss / s0)
    return np.asarray(gauss * (s2 - s1 * offset) / determinant)
