"""Pasting a dubbed face into its frame, in float at the resolution of the frame.

The blend mask is the region that the model repaints, with a soft edge that begins at the region's
border: pixels outside of it do not change, and colours that differ meet in no line. Above the jaw
the edge is 1/20 of the face's side (as LatentSync). The jaw's is half as wide, because what the
frame shows there through the mask is the chin of the film, where the dubbed mouth opens further.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces import alignment
from pipeline.faces.backend import Frame
from trainers.talking_face.masks import JAW_TOP, UNIT

EDGE, JAW_EDGE = 1 / 20, 1 / 40
"""Widths of the soft edge, as shares of the face's side: above the jaw's top, and below it."""
MIN_REDUCTION = 2
"""Faces scaled down by this factor or more are averaged, to avoid aliasing."""
BORDER_PX = 4
"""Widest border of the aligned face that contains grey from outside the frame (Lanczos-4)."""

Float = NDArray[np.float32]


def soft_mask(keep_11HW: Tensor) -> Float:
    """Return the blend mask (H, W) of an aligned face: 1 = dubbed face, 0 = frame and border.

    Args:
        keep_11HW: the model's mask, square: 1 = keep, 0 = generate.
    """
    repainted = keep_11HW[0, 0].numpy() == 0
    size_px = len(repainted)
    lower = np.arange(size_px)[:, None] * UNIT >= JAW_TOP * size_px
    upper_depth = _depth(repainted | lower) / (EDGE * size_px)
    jaw_depth = _depth(repainted | ~lower) / (JAW_EDGE * size_px)
    depth = np.minimum(np.minimum(upper_depth, jaw_depth), 1)
    return np.where(repainted, depth, 0).astype(np.float32)


def _depth(inside: NDArray[np.bool_]) -> Float:
    """Return how many pixels (H, W) each pixel is from the border of a region or of the picture."""
    framed = np.pad(inside.astype(np.uint8), 1)
    return cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] - 0.5


class Paster:
    """Pastes faces of one size, that of the blend mask."""

    def __init__(self, mask: Float) -> None:
        self._size_px, self._mask = len(mask), mask

    def paste(self, image: Frame, face: Float, canvas_matrix: NDArray[np.float64]) -> Frame:
        """Return a copy of the frame with the face in it.

        Args:
            image: (H, W, 3) uint8 RGB.
            face: (size_px, size_px, 3), 0 ... 255.
            canvas_matrix: with which `alignment.warp` cut the face.
        """
        result = image.copy()
        matrix = alignment.to_square(canvas_matrix, self._size_px)
        box = _face_box(matrix, self._size_px, image.shape)
        if box is None:
            return result
        part = result[box.y0 : box.y1, box.x0 : box.x1]
        share = np.clip(box.warped(self._mask, cv2.INTER_LINEAR), 0, 1)
        share = (share * box.away_from_border(image.shape))[..., None]
        colours = np.clip(box.warped(face, cv2.INTER_CUBIC), 0, 255)
        blended = part + share * (colours - part)
        part[:] = np.where(share > 0, np.rint(blended), part).astype(np.uint8)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class _FaceBox:
    """The bounding box of the aligned face in the frame, and the map between them."""

    x0: int
    y0: int
    x1: int
    y1: int
    matrix: NDArray[np.float64]
    """(2, 3): frame pixels -> face pixels."""

    @property
    def scale(self) -> float:
        """Face pixels per frame pixel."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def away_from_border(self, shape: tuple[int, ...]) -> Float:
        """Return 0 at the border of the frame, rising to 1 within a few pixels.

        There the aligned face is interpolated with the grey fill from outside the frame.
        """
        depth = max(1.0, BORDER_PX / self.scale)
        columns, rows = np.arange(self.x0, self.x1), np.arange(self.y0, self.y1)
        across = np.minimum(columns, shape[1] - 1 - columns)
        down = np.minimum(rows, shape[0] - 1 - rows)
        near = np.minimum(down[:, None], across[None, :])
        return np.asarray(np.clip(near / depth, 0, 1), np.float32)

    def warped(self, face: Float, interpolation: int) -> Float:
        """Return the face resampled to the box; 0 outside the face."""
        factor = int(self.scale) if self.scale >= MIN_REDUCTION else 1
        size = ((self.x1 - self.x0) * factor, (self.y1 - self.y0) * factor)
        centre = (1.0 - factor) / (2.0 * factor)  # of the first subpixel, in frame pixels
        to_image = np.array([[1 / factor, 0, self.x0 + centre], [0, 1 / factor, self.y0 + centre]])
        matrix = self.matrix @ np.vstack([to_image, [0, 0, 1]])
        flags = interpolation | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(face, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
        if factor > 1:
            small = (self.x1 - self.x0, self.y1 - self.y0)
            warped = cv2.resize(warped, small, interpolation=cv2.INTER_AREA)
        return np.asarray(warped, np.float32)


def _face_box(matrix: NDArray[np.float64], size_px: int, shape: tuple[int, ...]) -> _FaceBox | None:
    """Return the box of the face in a frame of this shape; None if it lies outside."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [size_px, 0], [0, size_px], [size_px, size_px]], np.float64) - 0.5
    seen = corners @ inverse[:, :2].T + inverse[:, 2]
    limit = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(seen.min(axis=0)).astype(int), 0, limit)
    high = np.clip(np.ceil(seen.max(axis=0)).astype(int) + 1, 0, limit)
    if (high <= low).any():
        return None
    return _FaceBox(int(low[0]), int(low[1]), int(high[0]), int(high[1]), matrix)
