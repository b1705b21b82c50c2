"""A hand or a microphone that moves before a face or beside it, and which lips it hides.

It is made of shapes, which are drawn in colours into the picture, or all alike into a mask: so what
is hidden is known to the pixel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.backend import Frame
from pipeline.faces.box import Box

Colour = tuple[int, int, int]
Point = tuple[float, float]
Painting = Callable[[NDArray[np.uint8]], None]
MOUTH_HEIGHT = 0.76
"""Where the mouth is in the extent of the landmarks, from its upper edge."""
_SKIN, _SHADE = (206, 152, 126), (146, 98, 78)
_SLEEVE = (70, 78, 104)
_FOAM, _GRILLE, _METAL = (38, 38, 42), (78, 78, 84), (112, 114, 120)
_TREMOR, _TREMOR_FRAMES = 0.012, 9.0
"""Nobody holds a hand still: an amplitude in face widths, and how many frames a radian takes."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where an occluder is at a frame: from the mouth, in widths and heights of the face."""

    frame: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Occluder:
    """What lies before the picture, on its way from stop to stop."""

    kind: Literal["hand", "microphone"]
    stops: tuple[Stop, ...]
    """At least one, frames ascending; before the first and behind the last it stays there."""

    def place(self, frame: int) -> Point:
        """Return x, y from the mouth in widths and heights of the face."""
        shake = _TREMOR * np.sin(frame / _TREMOR_FRAMES), _TREMOR * np.cos(frame / _TREMOR_FRAMES)
        x, y = self._at(frame)
        return x + float(shake[0]), y + float(shake[1])

    def _at(self, frame: int) -> Point:
        for one, two in pairwise(self.stops):
            if one.frame <= frame < two.frame:
                share = (frame - one.frame) / (two.frame - one.frame)
                eased = share * share * (3 - 2 * share)
                return one.x + eased * (two.x - one.x), one.y + eased * (two.y - one.y)
        end = self.stops[0] if frame < self.stops[0].frame else self.stops[-1]
        return end.x, end.y


@dataclass(frozen=True, slots=True)
class _Stroke:
    """A line with round ends; a point makes a disc."""

    start: Point
    end: Point
    width: float
    colour: Colour


def draw(image: Frame, occluder: Occluder, box: Box, frame: int) -> None:
    """Draw an occluder over a face, in place.

    Args:
        box: extent of the face's landmarks, pixels.
        frame: of the 25 fps grid.
    """
    for one in _strokes(occluder, box, frame):
        _stroke(image, one, one.colour)


def hidden_share(lips_P2: NDArray[np.float64], occluder: Occluder, box: Box, frame: int) -> float:
    """Return which share of the area within the outer edge of the lips an occluder hides."""
    shapes = _strokes(occluder, box, frame)

    def paint(mask: NDArray[np.uint8]) -> None:
        for one in shapes:
            _stroke(mask, one, 255)

    return share_of_lips(lips_P2, paint)


def share_of_lips(lips_P2: NDArray[np.float64], paint: Painting) -> float:
    """Return which share of the lips' area is hidden by what `paint` draws with 255 into a mask."""
    size = np.ceil(lips_P2.max(axis=0)).astype(int) + 2
    lips, cover = (np.zeros((size[1], size[0]), np.uint8) for _ in range(2))
    cv2.fillConvexPoly(lips, cv2.convexHull(np.rint(lips_P2).astype(np.int32)), 255)
    paint(cover)
    area = int((lips > 0).sum())
    return int(((lips > 0) & (cover > 127)).sum()) / area if area else 0.0


def _strokes(occluder: Occluder, box: Box, frame: int) -> Sequence[_Stroke]:
    width, height = box[2] - box[0], box[3] - box[1]
    x, y = occluder.place(frame)
    middle = (box[0] + (0.5 + x) * width, box[1] + (MOUTH_HEIGHT + y) * height)
    return _SHAPES[occluder.kind](middle, width)


def _hand(middle: Point, width: float) -> Sequence[_Stroke]:
    """A sleeve from below, the palm, and four fingers across the face with their shadows."""
    x, y = middle
    wrist = (x + 0.5 * width, y + 0.42 * width)
    arm = _Stroke((x + 1.1 * width, y + 1.3 * width), wrist, 0.36 * width, _SLEEVE)
    palm = _Stroke(wrist, (x + 0.12 * width, y + 0.04 * width), 0.32 * width, _SKIN)
    fingers = []
    for number in range(4):
        down = (number - 1.5) * 0.085 * width
        ends = (x + 0.14 * width, y + down), (x - (0.3 - 0.03 * number) * width, y + down)
        fingers += [
            _Stroke(*ends, 0.105 * width, _SHADE),
            _Stroke(*ends, 0.085 * width, _SKIN),
        ]
    return [arm, palm, *fingers]


def _microphone(middle: Point, width: float) -> Sequence[_Stroke]:
    """A handle from below and a ball of foam with a lighter grille."""
    x, y = middle
    handle = _Stroke((x + 0.16 * width, y + 1.4 * width), (x, y), 0.13 * width, _METAL)
    ball = _Stroke(middle, middle, 0.44 * width, _FOAM)
    grille = [
        _Stroke(
            (x - 0.14 * width, y + turn * width), (x + 0.14 * width, y + turn * width),
            0.012 * width, _GRILLE,
        )
        for turn in (-0.1, -0.05, 0.0, 0.05, 0.1)
    ]  # fmt: skip
    return [handle, ball, *grille]


_SHAPES = {"hand": _hand, "microphone": _microphone}


def _stroke(image: NDArray[np.uint8], one: _Stroke, colour: Colour | int) -> None:
    ends = [(round(x), round(y)) for x, y in (one.start, one.end)]
    cv2.line(image, ends[0], ends[1], colour, max(1, round(one.width)), cv2.LINE_AA)
