"""The picture that the classifier of covered mouths sees: the face around the lips, reduced.

Shapes: C = 3 planes (luma 0 to 255, then the two colour differences around 128), T = frames,
S x S = 64 x 64 copy of the crop, P x P = 48 x 48 part of it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.processor import pin_kernels

pin_kernels()

Planes = npt.NDArray[np.uint8]
SMALL_PX = 64
"""Side of the reduced crop."""
PART_PX = 48
"""Side of the part around the lips: from the eyes to below the chin."""


def reduced(plane_HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a plane of the crop, of any size, at 64 x 64."""
    return np.asarray(
        cv2.resize(plane_HW, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA), np.uint8
    )


def around_lips(small_CSS: Planes, lips: npt.NDArray[np.float64]) -> Planes:
    """Return (C, P, P) with the middle of the lips in the middle.

    What lies beyond the crop repeats its edge.

    Args:
        lips: x, y of the middle of the lips, as shares of the crop's side.
    """
    first = np.rint(np.clip(lips, 0, 1) * SMALL_PX - PART_PX / 2).astype(int)
    columns = np.clip(np.arange(first[0], first[0] + PART_PX), 0, SMALL_PX - 1)
    rows = np.clip(np.arange(first[1], first[1] + PART_PX), 0, SMALL_PX - 1)
    return small_CSS[:, rows[:, None], columns]
