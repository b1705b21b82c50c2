"""One decoded frame as RGB or as planes, with rotation, aspect ratio and colour as displayed."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.media.film_picture import BT601, BT709, BT2020, NEUTRAL, Colours, FilmPicture, Plane

EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
)
"""swscale without the shortcuts that darken by a level and depend on the processor."""
_UNSPECIFIED, _BT709, _BT470BG = 2, 1, 5
"""Numbers of ITU-T H.273, table 4 (matrix coefficients)."""
_COLOURS = {1: BT709, 5: BT601, 6: BT601, 9: BT2020, 10: BT2020}
"""The same numbers; streams with another one are converted by swscale."""
_STORED = {"yuv420p": False, "yuvj420p": True}
"""Pixel formats whose planes are used as they are: whether their range is always full."""
SD_LINES = 576
"""Untagged video of at most so many lines is treated as BT.601, larger as BT.709."""
SQUARE_ENOUGH = Fraction(1, 100)
"""Pixel aspects that differ from 1 by less are treated as square, without resampling."""
SAME_SHAPE = 0.03
"""Shapes that differ by less are one shape at two sizes: 1080 lines are often stored as 1088."""
MAX_PIXEL_ASPECT = 4
"""More than this is a broken header, not anamorphic video."""


class Picture:
    """Converts the frames of one stream to what is displayed, all of the same size.

    A frame of another shape than the canvas is fitted in without distortion, with black borders.
    """

    def __init__(self, video: av.VideoStream, canvas: tuple[int, int] | None = None) -> None:
        """Prepare a stream.

        Args:
            canvas: (width, height) as stored of all frames; that of the first frame if None.
        """
        self._aspect = Fraction(video.sample_aspect_ratio or 1)
        self._reformatter = VideoReformatter()
        self._canvas = canvas
        self._size: tuple[int, int] | None = None
        self._matrix: NDArray[np.int32] | None = None

    def rgb(self, frame: av.VideoFrame, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB, read-only.

        The colour matrix is the stream's; where it names none, BT.601 up to 576 lines and BT.709
        above, as players do. High dynamic range is not tone-mapped, interlaced fields are not
        taken apart.

        Args:
            size: (width, height) before rotation, to scale to; the canvas with square pixels if
                None. That of the first call counts.
        """
        fitting, canvas = self._prepared(frame, size)
        stored_rgb = _centred(self._scaled(frame, fitting), canvas)
        image = np.ascontiguousarray(as_displayed(stored_rgb, self._matrix))
        image.flags.writeable = False
        return image

    def film(self, frame: av.VideoFrame) -> FilmPicture:
        """Return the planes; those of usual video are not copied, all else goes through swscale.

        Colours as in `rgb`.
        """
        fitting, canvas = self._prepared(frame, None)
        colours = _colours(frame)
        if colours is None or fitting != (frame.width, frame.height):
            frame, colours = self._planar(frame, fitting), BT709
        fills = (colours.black, NEUTRAL, NEUTRAL)
        sizes = (canvas, *[_half(canvas)] * 2)
        planes = [
            self._plane_as_displayed(_pixels(plane), size, fill)
            for plane, size, fill in zip(frame.planes, sizes, fills, strict=True)
        ]
        return FilmPicture((planes[0], planes[1], planes[2]), colours)

    def _prepared(
        self, frame: av.VideoFrame, size: tuple[int, int] | None
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Name the frame's colours; return the size to which it is scaled, and that of all."""
        if self._size is None:
            stored = self._canvas or (frame.width, frame.height)
            self._size = size or square_size(*stored, self._aspect)
            # Of the first frame only: PyAV's side data and its frame form a reference cycle, so
            # that every frame whose side data is read stays in memory until a collection.
            self._matrix = display_matrix(frame)
        if frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb:
            frame.colorspace = _BT709 if frame.height > SD_LINES else _BT470BG
        fitting = fitting_size(square_size(frame.width, frame.height, self._aspect), self._size)
        return fitting, self._size

    def _plane_as_displayed(self, plane: Plane, size: tuple[int, int], fill: int) -> Plane:
        if self._matrix is None and plane.shape == size[::-1]:
            return plane
        filled = _centred(plane[..., None], size, fill)
        return np.ascontiguousarray(as_displayed(filled, self._matrix)[..., 0])

    def _planar(self, frame: av.VideoFrame, size: tuple[int, int]) -> av.VideoFrame:
        return self._reformatter.reformat(
            frame,
            width=size[0],
            height=size[1],
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
            threads=1,
        )

    def _scaled(self, frame: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
        planar = self._reformatter.reformat(
            frame,
            width=size[0],
            height=size[1],
            format="gbrp",  # then merged: the same bytes as rgb24, in a third of the time
            interpolation=EXACT,
            threads=1,
        )
        green, blue, red = (_pixels(plane) for plane in planar.planes)
        return np.asarray(cv2.merge([red, green, blue]), np.uint8)


def fitting_size(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of the same shape inside of a canvas.

    The canvas itself where the shapes differ by less than SAME_SHAPE, which is rounding.
    """
    across, along = canvas[0] / size[0], canvas[1] / size[1]
    if abs(across / along - 1) < SAME_SHAPE:
        return canvas
    scale = min(across, along)
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def _colours(frame: av.VideoFrame) -> Colours | None:
    """Return what the planes of a frame mean; None where they are not used as they are."""
    always_full = _STORED.get(frame.format.name)
    colours = _COLOURS.get(int(frame.colorspace))
    if always_full is None or colours is None:
        return None
    return replace(colours, full=always_full or frame.color_range == ColorRange.JPEG)


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _centred(image: NDArray[np.uint8], canvas: tuple[int, int], fill: int = 0) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if (width, height) == canvas:
        return image
    filled = np.full((canvas[1], canvas[0], image.shape[2]), fill, np.uint8)
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    filled[top : top + height, left : left + width] = image
    return filled


def _pixels(plane: Any) -> NDArray[np.uint8]:  # Any: PyAV's stub hides the buffer protocol
    rows: NDArray[np.uint8] = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size]
    return rows.reshape(plane.height, plane.line_size)[:, : plane.width]


def square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Return the size with square pixels; one side is enlarged, none reduced.

    Args:
        pixel_aspect: width by height of one stored pixel (DV: 16:15, VCD: 12:11, ...).
    """
    square = abs(pixel_aspect - 1) < SQUARE_ENOUGH
    if square or not Fraction(1, MAX_PIXEL_ASPECT) <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return width, height
    if pixel_aspect > 1:
        return round(width * pixel_aspect), height
    return width, round(height / pixel_aspect)


def displayed_size(
    video: av.VideoStream, frame: av.VideoFrame, canvas: tuple[int, int]
) -> tuple[int, int]:
    """Return (width, height) of the RGB frames of `Picture` for a stream with this first frame."""
    width, height = square_size(*canvas, Fraction(video.sample_aspect_ratio or 1))
    turned = rotation_deg(display_matrix(frame)) in (90, 270)
    return (height, width) if turned else (width, height)


def display_matrix(frame: av.VideoFrame) -> NDArray[np.int32] | None:
    """Return the (2, 2) part of the display matrix that rotates and mirrors, or None."""
    sides: Mapping[Any, Any] = frame.side_data
    data = sides.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return None
    return np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2]


def as_displayed(image: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Rotate and mirror by multiples of 90 degrees, as a display matrix asks.

    Args:
        image: (H, W, 3) as stored.
        matrix: [[a, b], [c, d]] maps stored (x, y) to displayed (a x + c y, b x + d y), in the
            way of ISO/IEC 14496-12; other angles are rounded to the nearest multiple of 90.
    """
    if matrix is None:
        return image
    (a, b), (c, d) = matrix.tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return image.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]


def rotation_deg(matrix: NDArray[np.int32] | None) -> int:
    """Return the clockwise rotation from stored to displayed, in degrees: 0 to 270.

    The same number as the `rotate` tag of phones; mirroring is not part of it.
    """
    if matrix is None:
        return 0
    (a, b), (c, d) = matrix.tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return 180 if d < 0 else 0
    return 90 if b > 0 else 270
