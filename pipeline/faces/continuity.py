"""Notices where a track goes on with another person, or with the same one at another moment.

Two small descriptors of consecutive frames are compared, both grey, with local mean and contrast
taken out, so that light does not count: the place of the face in the picture (it changes wherever
something jumps), and the aligned face (it changes little while a person moves, turns or talks). A
cut is a change that stands out of those of the PAST frames before and the LOOK frames after it.

Measured on 77 clips of 1 to 60 s (18,551 steps of 92 tracks): tracks end at real jumps within three
films, and at 2 steps of a dance with dropped frames; no person who talks, turns or is lit otherwise
is divided. Of 2,434 changes to another person's face of the same size at the same place 96 % are
found; of 248 jumps of a person to another moment before the same background 60 %, the others being
jumps to nearly the same picture.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces import alignment
from pipeline.faces.backend import FaceBackend, Shown
from pipeline.faces.box import Box
from pipeline.faces.boxes import longer_side
from pipeline.faces.stretches import TrackFrame
from pipeline.media.film_picture import as_picture

PX = 48
"""Side of the descriptors."""
BORDER = 0.15
"""Of the place around a face, in longer sides of its box."""
FINE, COARSE, FLAT = 1.0, 8.0, 4.0
"""Sigmas of the smoothing and of the local mean, in pixels of PX; the contrast of flat skin."""
PAST, LOOK = 12, 5
"""Frames before and after a change to which it is compared."""
JUMPS = ((0.15, 4.0, 0.02), (0.07, 6.0, 0.01))
"""Least change of the place, how often as large as its neighbours, and their least value."""
OTHER_FACE, OTHER_FACE_RATIO = 0.3, 3.0
"""The same for the smaller of both changes."""

WAY_BACK = 0.6
"""A change beside that has this share of the change may be the way back from an insert."""

Descriptor = NDArray[np.float32]
Image = NDArray[np.float64]
IMAGE_GRID, WEIGHT_GRID = 1 << 10, 1 << 12
"""Steps per unit. A squared level has 16 + 10 bits, weights twice 12: float64 holds 53."""


@dataclass(frozen=True, slots=True)
class _Change:
    """1 - correlation of the descriptors of two consecutive frames."""

    place: float
    face: float

    @property
    def both(self) -> float:
        return min(self.place, self.face)


class ContinuityWatch:
    """Passes on the frames of a track, LOOK frames late, and says which begins something else."""

    def __init__(self, backend: FaceBackend) -> None:
        self._backend = backend
        self._last: tuple[Shown, Box, Descriptor] | None = None
        self._waiting: deque[tuple[TrackFrame, _Change | None]] = deque()
        self._past: deque[_Change] = deque(maxlen=PAST)

    @property
    def first_waiting(self) -> int | None:
        """The first frame that was not passed on yet."""
        return self._waiting[0][0].seen.frame if self._waiting else None

    def add(self, frame: TrackFrame, image: Shown | None) -> Iterator[tuple[TrackFrame, bool]]:
        """Add the next frame; yield (frame, whether it begins something else) once it is known.

        Args:
            image: the frame's picture; None where the one before is shown again.
        """
        self._waiting.append((frame, self._change(frame, image)))
        if len(self._waiting) > LOOK:
            yield self._decide()

    def finish(self) -> Iterator[tuple[TrackFrame, bool]]:
        """Yield the frames that wait."""
        while self._waiting:
            yield self._decide()

    def _change(self, frame: TrackFrame, image: Shown | None) -> _Change | None:
        if image is None or frame.seen.interpolated:
            self._last = self._last if image is None else None
            return None
        face, last = self._face(frame, image), self._last
        self._last = image, frame.seen.box, face
        if last is None:
            return None
        before, now = (_place(picture, last[1]) for picture in (last[0], image))
        return _Change(_distance(before, now), _distance(last[2], face))

    def _decide(self) -> tuple[TrackFrame, bool]:
        frame, change = self._waiting.popleft()
        if change is None:
            return frame, False
        following = [one for _, one in islice(self._waiting, LOOK) if one]
        cut = _stands_out(change, [*self._past, *following])
        if cut:
            self._past.clear()
        else:
            self._past.append(change)
        return frame, cut

    def _face(self, frame: TrackFrame, image: Shown) -> Descriptor:
        matrix = alignment.similarity(self._backend.anchors(frame.seen.points))
        scale = np.array([[2 * PX / alignment.CANVAS_W], [2 * PX / alignment.CANVAS_H]])
        return _descriptor(image, matrix * scale)


def _stands_out(change: _Change, beside: list[_Change]) -> bool:
    if len(beside) < 2:
        return False
    beside = _without_way_back(change, beside)
    place = max(one.place for one in beside)
    jumps = any(
        change.place > least and change.place > ratio * max(place, floor)
        for least, ratio, floor in JUMPS
    )
    both = max(one.both for one in beside)
    return jumps or (change.both > OTHER_FACE and change.both > OTHER_FACE_RATIO * both)


def _without_way_back(change: _Change, beside: list[_Change]) -> list[_Change]:
    """Leave out the largest change beside if it is as large, and the face changes with both: the
    end of a short insert of another person.
    """
    largest = max(beside, key=lambda one: one.place)
    other = min(change.face, largest.face) > OTHER_FACE
    if other and len(beside) > 2 and largest.place >= WAY_BACK * change.place:
        return [one for one in beside if one is not largest]
    return beside


def _place(image: Shown, box: Box) -> Descriptor:
    """Describe the picture in and around a box."""
    border = BORDER * longer_side(box)
    x0, y0, x1, y1 = box[0] - border, box[1] - border, box[2] + border, box[3] + border
    x, y = 2 * PX / max(x1 - x0, 1.0), 2 * PX / max(y1 - y0, 1.0)
    return _descriptor(image, np.array([[x, 0.0, -x0 * x], [0.0, y, -y0 * y]]))


def _descriptor(image: Shown, matrix: NDArray[np.float64]) -> Descriptor:
    """Return (PX, PX): grey without its local mean, over its local contrast; mean 0, length 1.

    Args:
        matrix: frame pixel -> pixel of a square of 2 * PX.
    """
    picture = as_picture(image)
    large = picture.grey_warped(matrix, (2 * PX, 2 * PX))
    small = cv2.resize(large, (PX, PX), interpolation=cv2.INTER_AREA)
    grey = np.asarray(small * picture.grey_gain, np.float64)
    fine = _blurred(grey, FINE)
    detail = fine - _blurred(fine, COARSE)
    contrast = np.sqrt(_blurred(detail * detail, COARSE).clip(min=0))
    even = detail / (contrast + FLAT)
    even -= even.mean()
    return np.asarray(even / max(math.sqrt(float((even * even).sum())), 1e-3), np.float32)


def _blurred(image: Image, sigma: float) -> Image:
    """Return the image after a Gaussian; two small matrix products are faster than wide filters.

    Image and weights are rounded to grids on which every sum is exact in float64, so that the order
    in which BLAS adds, another on every kind of processor, does not count.
    """
    blur = _blur_matrix(sigma)
    return np.asarray(blur @ _on_grid(image, IMAGE_GRID) @ blur.T)


@lru_cache(maxsize=2)
def _blur_matrix(sigma: float) -> Image:
    """Return (PX, PX): the Gaussian along one side, borders mirrored."""
    side = np.eye(PX)
    blur = cv2.GaussianBlur(side, (1, 0), sigmaX=1, sigmaY=sigma)
    return _on_grid(np.asarray(blur), WEIGHT_GRID)


def _on_grid(values: NDArray[Any], steps: int) -> Image:
    return np.asarray(np.rint(values * steps) / steps, np.float64)


def _distance(one: Descriptor, other: Descriptor) -> float:
    """Return 1 - correlation."""
    return 1.0 - float((one * other).sum())
