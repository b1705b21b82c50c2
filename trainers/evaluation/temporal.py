"""How smoothly generated pictures change in time, and whether windows meet without a jump.

Shape suffixes: T frames, C colours, H and W pixels.
"""

import math

import numpy as np
from numpy.typing import NDArray

from trainers.talking_face.masks import keep_mask

Pixels = NDArray[np.uint8]
Doubles = NDArray[np.float64]


def roughness(frames_TCHW: Pixels) -> Doubles:
    """Return (T - 2,): mean |x[t - 1] - 2 x[t] + x[t + 1]| of the levels inside of the mask's hole.

    Entry 0 is of frame 1. A picture that stands or changes evenly has 0; flicker has much.
    """
    hole_HW = keep_mask(frames_TCHW.shape[-1])[0, 0].numpy() == 0
    levels_TK = frames_TCHW[:, :, hole_HW].reshape(len(frames_TCHW), -1).astype(np.int16)
    return np.asarray(np.abs(np.diff(levels_TK, n=2, axis=0)).mean(axis=1), np.float64)


def roughness_ratio(
    real_TCHW: Pixels, made_TCHW: Pixels, seams_T: NDArray[np.bool_]
) -> list[float]:
    """Return roughness of made over real frames: away from the seams, and at them.

    Args:
        seams_T: whether two windows of the model share a frame.

    NaN where there are no such frames, or the real ones stand still.
    """
    made, real = roughness(made_TCHW), roughness(real_TCHW)
    touches = seams_T[:-2] | seams_T[1:-1] | seams_T[2:]
    return [_ratio(made[chosen], real[chosen]) for chosen in (~touches, touches)]


def temporal_scores(
    real_TCHW: Pixels, made: dict[str, Pixels], seams_T: NDArray[np.bool_]
) -> dict[str, float]:
    """Return `<version>_roughness` and `<version>_seam_roughness` of made versions of a clip."""
    found: dict[str, float] = {}
    for name, made_TCHW in made.items():
        inner, seam = roughness_ratio(real_TCHW, made_TCHW, seams_T)
        found |= {f"{name}_roughness": inner, f"{name}_seam_roughness": seam}
    return found


def _ratio(made: Doubles, real: Doubles) -> float:
    return float(made.mean() / real.mean()) if len(real) and real.any() else math.nan
