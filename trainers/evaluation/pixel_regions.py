"""Grey levels of the part of an aligned face that the model generates, and of the part it keeps.

Shape suffixes: T frames, C colours, H and W pixels, K pixels of the region.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trainers.talking_face.masks import keep_mask

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""
MOUTH_TOP, MOUTH_LEFT, MOUTH_RIGHT = 0.55, 0.25, 0.75
"""Shares of the face's edge: the part of the hole that holds the lips and the chin."""
HOLE_PX, KEPT_PX = 64, 32
"""Larger faces are averaged down to these edges, to limit the number of features."""


@dataclass(frozen=True, slots=True)
class PixelRegion:
    """Some pixels of an aligned face."""

    chosen: NDArray[np.bool_]
    """(H, W)"""

    @property
    def features(self) -> int:
        """K."""
        return int(self.chosen.sum())

    def levels(self, frames_TCHW: Pixels) -> Floats:
        """Return the grey levels (T, K), the mean over the clip taken off each pixel."""
        edge = len(self.chosen)
        luma_THW = np.tensordot(LUMA, frames_TCHW.astype(np.float32), axes=(0, 1))
        small_THW = np.stack([_averaged(one_HW, edge) for one_HW in luma_THW])
        levels_TK = small_THW[:, self.chosen]
        return np.asarray(levels_TK - levels_TK.mean(axis=0), np.float32)


def mouth_region(size_px: int) -> PixelRegion:
    """Return lips and chin: only pixels that the model generates whole.

    Args:
        size_px: height and width of the faces.
    """
    edge = min(size_px, HOLE_PX)
    places = (np.arange(edge) + 0.5) / edge
    columns = (places > MOUTH_LEFT) & (places < MOUTH_RIGHT)
    return PixelRegion((_kept_share(size_px, edge) == 0) & (places > MOUTH_TOP)[:, None] & columns)


def kept_region(size_px: int) -> PixelRegion:
    """Return all that the model keeps: only pixels of which it generates no part."""
    return PixelRegion(_kept_share(size_px, min(size_px, KEPT_PX)) == 1)


def _kept_share(size_px: int, edge: int) -> Floats:
    return _averaged(keep_mask(size_px)[0, 0].numpy(), edge)


def _averaged(image_HW: Floats, edge: int) -> Floats:
    if len(image_HW) == edge:
        return image_HW
    small = cv2.resize(image_HW, (edge, edge), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)
