"""A picture as the decoder stores it: luma and chroma, made RGB only where somebody looks.

Full frames are never converted: the detector sees a reduced copy, the landmark network and the crop
a warped part. Chroma samples lie in the middle of their four pixels, as swscale takes them to lie.

Shapes: H x W luma, half of that (rounded up) for both chroma planes.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.processor import pin_kernels

pin_kernels()

Plane = NDArray[np.uint8]
Matrix = NDArray[np.float64]
NEUTRAL = 128
"""Chroma of grey."""
SPARE_ROWS = 8
"""Rows for one row of the result from which on every second one is left out."""


@dataclass(frozen=True, slots=True)
class Colours:
    """What Y, Cb and Cr of 8 bits mean (ITU-R BT.601, BT.709, BT.2020)."""

    red: float
    """Weight of red in luma, Kr."""
    blue: float
    """Weight of blue, Kb."""
    full: bool = False
    """Luma from 0 to 255; else from 16 to 235, and chroma from 16 to 240."""

    @property
    def black(self) -> int:
        """Return the luma of black."""
        return 0 if self.full else 16

    @property
    def luma_gain(self) -> float:
        """Return levels of grey, of 0 to 255, per level of luma."""
        return 1.0 if self.full else 255 / 219

    def luma_of(self, grey: float) -> float:
        """Return the luma of a grey of 0 to 255."""
        return self.black + grey / self.luma_gain


BT709 = Colours(0.2126, 0.0722)
BT601 = Colours(0.299, 0.114)
BT2020 = Colours(0.2627, 0.0593)


@lru_cache(maxsize=16)
def rgb_matrix(colours: Colours) -> Matrix:
    """Return (3, 4): red, green, blue of 0 to 255 from (Y, Cb, Cr, 1)."""
    kr, kb = colours.red, colours.blue
    kg, luma = 1 - kr - kb, colours.luma_gain
    chroma = 1.0 if colours.full else 255 / 224
    turn = np.array(
        [
            [luma, 0, 2 * (1 - kr) * chroma],
            [luma, -2 * (1 - kb) * kb / kg * chroma, -2 * (1 - kr) * kr / kg * chroma],
            [luma, 2 * (1 - kb) * chroma, 0],
        ]
    )
    shift = np.einsum("ij,j->i", turn, np.array([colours.black, NEUTRAL, NEUTRAL], np.float64))
    return np.column_stack([turn, -shift])


@lru_cache(maxsize=16)
def matrix_between(colours: Colours, wanted: Colours) -> Matrix | None:
    """Return (3, 4): Y, Cb, Cr as `wanted` means them from (Y, Cb, Cr, 1); None if they are one."""
    if colours == wanted:
        return None
    to_rgb, from_rgb = (np.vstack([rgb_matrix(one), [0, 0, 0, 1]]) for one in (colours, wanted))
    return np.asarray(
        np.round((np.linalg.inv(from_rgb) @ to_rgb)[:3], 12)
    )  # LAPACK's last bits differ


class FilmPicture:
    """The planes of one picture as displayed; nothing is copied."""

    def __init__(self, planes: tuple[Plane, Plane, Plane], colours: Colours) -> None:
        self.planes, self.colours = planes, colours

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (H, W, 3), as of an RGB array."""
        height, width = self.planes[0].shape
        return height, width, 3

    @cached_property
    def rgb(self) -> NDArray[np.uint8]:
        """Return (H, W, 3): the whole picture, for those who need all of it."""
        height, width, _ = self.shape
        return self.warped(np.eye(2, 3), (width, height))

    def warped(self, matrix: Matrix, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return (height, width, 3) RGB, bilinear, black outside.

        Args:
            matrix: (2, 3) picture pixel -> pixel of the result.
            size: (width, height).
        """
        luma, *chroma = self.planes
        half, small = to_chroma(matrix), ((size[0] + 1) // 2, (size[1] + 1) // 2)
        halves = [_warp(plane, half, NEUTRAL, small) for plane in chroma]
        doubled = [cv2.resize(one, (2 * small[0], 2 * small[1])) for one in halves]
        colour = [one[: size[1], : size[0]] for one in doubled]
        return self._as_rgb([_warp(luma, matrix, self.colours.black, size), *colour])

    def grey_warped(self, matrix: Matrix, size: tuple[int, int]) -> Plane:
        """Return (height, width) luma, bilinear, black outside; arguments as of `warped`."""
        warped: Plane = _warp(self.planes[0], matrix, self.colours.black, size)
        return warped

    @property
    def grey_gain(self) -> float:
        """Return levels of grey, of 0 to 255, per level of what `grey_warped` returns."""
        return self.colours.luma_gain

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the whole picture as (height, width, 3) RGB, pixels averaged."""
        return self._as_rgb([shrunk(plane, size) for plane in self.planes])

    def part(self, x0: int, y0: int, x1: int, y1: int) -> "FilmPicture":
        """Return columns x0 ... x1 - 1 of rows y0 ... y1 - 1; x0 and y0 are even."""
        luma, *chroma = self.planes
        halves = [c[y0 // 2 : (y1 + 1) // 2, x0 // 2 : (x1 + 1) // 2] for c in chroma]
        return FilmPicture((luma[y0:y1, x0:x1], halves[0], halves[1]), self.colours)

    def sampled(self, step: int) -> Plane:
        """Return every `step`-th luma of every `step`-th row."""
        return np.ascontiguousarray(self.planes[0][::step, ::step])

    def _as_rgb(self, planes: list[Plane]) -> NDArray[np.uint8]:
        return np.asarray(cv2.transform(cv2.merge(planes), rgb_matrix(self.colours)), np.uint8)


class RgbPicture:
    """An RGB array as a picture, for those who have no film."""

    grey_gain = 1.0

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self.rgb = rgb
        self.shape: tuple[int, ...] = rgb.shape

    def warped(self, matrix: Matrix, size: tuple[int, int]) -> NDArray[np.uint8]:
        """As FilmPicture.warped."""
        warped: NDArray[np.uint8] = _warp(self.rgb, matrix, 0, size)
        return warped

    def grey_warped(self, matrix: Matrix, size: tuple[int, int]) -> Plane:
        """As FilmPicture.grey_warped, in levels of 0 to 255."""
        return np.asarray(cv2.cvtColor(self.warped(matrix, size), cv2.COLOR_RGB2GRAY), np.uint8)

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """As FilmPicture.reduced."""
        return np.asarray(cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA), np.uint8)

    def part(self, x0: int, y0: int, x1: int, y1: int) -> "RgbPicture":
        """As FilmPicture.part."""
        return RgbPicture(self.rgb[y0:y1, x0:x1])

    def sampled(self, step: int) -> NDArray[np.uint8]:
        """As FilmPicture.sampled, of all colours."""
        return np.ascontiguousarray(self.rgb[::step, ::step])


AnyPicture = FilmPicture | RgbPicture


def as_picture(frame: NDArray[np.uint8] | AnyPicture) -> AnyPicture:
    """Return the picture itself, or one that shows an (H, W, 3) RGB array."""
    return RgbPicture(frame) if isinstance(frame, np.ndarray) else frame


def to_chroma(matrix: Matrix) -> Matrix:
    """Return the map from chroma to chroma, both of half the size, for one from luma to luma."""
    moved = (matrix[:, 2] + matrix[:, :2].sum(axis=1) / 2 - 0.5) / 2
    return np.column_stack([matrix[:, :2], moved])


def shrunk(plane: Plane, size: tuple[int, int]) -> Plane:
    """Return the plane at (width, height), averaged: halved as often as it stays larger.

    Halving is several times as fast as averaging over odd areas at once. An odd last row or column
    is left out of a half. Of what becomes very small every second row is enough.
    """
    width, height = size
    if plane.shape[0] >= SPARE_ROWS * height:
        plane = plane[::2]
    while plane.shape[0] >= 2 * height and plane.shape[1] >= 2 * width:
        rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
        even = plane[: 2 * rows, : 2 * columns]
        plane = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA))
    if plane.shape == (height, width):
        return plane
    larger = plane.shape[0] < height or plane.shape[1] < width
    how = cv2.INTER_LINEAR if larger else cv2.INTER_AREA
    return np.asarray(cv2.resize(plane, size, interpolation=how), np.uint8)


def _warp(image: NDArray[np.uint8], matrix: Matrix, fill: int, size: tuple[int, int]) -> Any:
    return cv2.warpAffine(
        image,
        matrix,
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill, fill, fill),
    )
