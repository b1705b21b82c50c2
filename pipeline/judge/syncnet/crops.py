"""SyncNet's image input: the square of each frame that syncnet_python crops.

Per frame half the longer side of the face box and its centre, each filtered by a median of 13
frames (zeros beyond the track's ends), give a square 2.8 halves wide that reaches further down than
up. Geometry: joonson/syncnet_python, `run_pipeline`. What differs is the face box: theirs is
S3FD's, ours follows from landmarks (`detector_boxes`); docs/sync.md has the measured difference.

Shape suffixes: T frames, 4 = x0, y0, x1, y1.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.faces.schemas import INSIGHTFACE106, MESH468

CROP_PX = 224
"""Side of SyncNet's input image."""
CROP_SCALE = 0.4
"""The square extends 1 + this halves to either side of the centre, 1 + 2 times this below it."""
MEDIAN_TAPS = 13
MIN_TRACK_FRAMES = MEDIAN_TAPS // 2 + 1
"""With fewer frames the zeros beyond the ends are the majority, and the median is zero."""
GREY = 110
"""Fill outside of the frame."""

Doubles = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Fit:
    """Map from the extent of landmarks to a detector's box."""

    width: float
    """Width of the box, in widths of the extent."""
    height: float
    """Height of the box, in heights of the extent."""
    down: float
    """How far the box's centre lies below the extent's, in heights of the extent."""


FITS = {
    MESH468.name: _Fit(0.985, 1.114, -0.060),
    INSIGHTFACE106.name: _Fit(1.000, 1.322, -0.174),
}
"""Medians against SCRFD-2.5G (trained on WIDER FACE, as S3FD) on 265 and 272 frames of 28 frontal
clips. The half size that follows is 0.95 ... 1.07 (mesh) and 0.91 ... 1.11 (106 points, which end
at the brows) of the detector's own in 90 % of the frames. Leave-one-clip-out fits
are as accurate; a fit that also uses the extent's width is hardly better."""


def detector_boxes(boxes_T4: NDArray[Any], schema: str) -> Doubles:
    """Return (T, 4) boxes as of a detector trained on WIDER FACE (S3FD, SCRFD).

    Args:
        boxes_T4: the extent of the landmarks, in pixels.
        schema: `mesh468` or `insightface106`.

    Raises:
        ValueError: another schema.
    """
    if schema not in FITS:
        raise ValueError(f"landmark schema {schema!r}: known are {', '.join(FITS)}")
    fit, boxes = FITS[schema], np.asarray(boxes_T4, dtype=np.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 + size[:, 1:] * [0.0, fit.down]
    half = size * [fit.width, fit.height] / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def render_crops(frames: Iterable[Pixels], boxes_T4: NDArray[Any]) -> Iterator[Pixels]:
    """Yield SyncNet's input image of every frame; one frame is held at a time.

    Args:
        frames: T arrays (H, W, 3) uint8 RGB.
        boxes_T4: a detector's boxes of one face, one per frame, in pixels; T >= 7.

    Yields:
        (224, 224, 3) uint8 BGR.

    Raises:
        ValueError: fewer than 7 boxes, or not as many frames as boxes.
    """
    if len(boxes_T4) < MIN_TRACK_FRAMES:
        raise ValueError(f"{len(boxes_T4)} frames, SyncNet's crop needs {MIN_TRACK_FRAMES}")
    half_T, x_T, y_T = _square(np.asarray(boxes_T4, dtype=np.float64))
    places = zip(half_T.tolist(), x_T.tolist(), y_T.tolist(), strict=True)
    for frame, (half, x, y) in zip(frames, places, strict=True):
        yield _resized(_cropped(frame, half, x, y))


def as_crop(frame: Pixels) -> Pixels:
    """Return SyncNet's input image of a frame that is a crop already: (224, 224, 3) uint8 BGR.

    Args:
        frame: (H, W, 3) uint8 RGB.
    """
    return _resized(np.ascontiguousarray(frame[..., ::-1]))


def _resized(image: Pixels) -> Pixels:
    square = cv2.resize(image, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(square, np.uint8)


def _square(boxes_T4: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return half the longer side and the centre x, y, each (T,) and median-filtered."""
    size = boxes_T4[:, 2:] - boxes_T4[:, :2]
    middle = (boxes_T4[:, :2] + boxes_T4[:, 2:]) / 2
    return _median(size.max(axis=1) / 2), _median(middle[:, 0]), _median(middle[:, 1])


def _median(values_T: Doubles) -> Doubles:
    """Filter as scipy.signal.medfilt does: zeros beyond the ends."""
    padded = np.pad(values_T, MEDIAN_TAPS // 2)
    return np.asarray(np.median(sliding_window_view(padded, MEDIAN_TAPS), axis=1))


def _cropped(frame: Pixels, half: float, x: float, y: float) -> Pixels:
    """Return the square in BGR, without a copy of the whole frame.

    The reference adds a grey border of int(1.8 half) to the frame first. Its rows and columns are
    truncated in the bordered frame's coordinates and end with it, so the border counts here too.
    """
    border = int(half * (1 + 2 * CROP_SCALE))
    reach = half * (1 + CROP_SCALE)
    rows = _inside(y + border - half, y + border + half * (1 + 2 * CROP_SCALE), frame, 0, border)
    columns = _inside(x + border - reach, x + border + reach, frame, 1, border)
    part = np.full((len(rows), len(columns), 3), GREY, np.uint8)
    top, left = rows.start - border, columns.start - border
    bottom, right = top + len(rows), left + len(columns)
    visible = frame[max(0, top) : max(0, bottom), max(0, left) : max(0, right), ::-1]
    down, over = max(0, -top), max(0, -left)
    part[down : down + visible.shape[0], over : over + visible.shape[1]] = visible
    return part


def _inside(low: float, high: float, frame: Pixels, axis: int, border: int) -> range:
    """Truncate both ends and keep to the bordered frame; at least one row or column."""
    length = frame.shape[axis] + 2 * border
    start = min(max(0, int(low)), length - 1)
    return range(start, max(start + 1, min(int(high), length)))
