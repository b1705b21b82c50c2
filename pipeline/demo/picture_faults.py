"""The picture of a film where something is wrong with it: another person, a mix, a hand."""

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo import occluders
from pipeline.demo.occluders import MOUTH_HEIGHT, share_of_lips
from pipeline.demo.scenario import Fault, frame_at
from pipeline.faces.backend import Frame
from pipeline.faces.box import Box
from pipeline.tables.rows import FPS

Painted = tuple[Frame, tuple[Box, ...]]
"""A picture and the boxes of the faces on it."""
_SKIN, _SHADE = (214, 168, 142), (158, 112, 92)


class Painter(Protocol):
    """A film that paints its shots at any time, also before they begin and after they end."""

    @property
    def starts(self) -> list[int]:
        """First frame of every shot, and the end of the film."""

    def shot_at(self, time_s: float) -> int:
        """Return the index of the shot that is shown at a time."""

    def paint(self, shot: int, time_s: float) -> Painted:
        """Paint a shot at a time of the film."""

    def lips(self, shot: int, face: int, time_s: float) -> NDArray[np.float64]:
        """Return the outer edge of a face's lips at a time of the film, (P, 2), pixels."""

    def paint_other(self, time_s: float) -> Painted:
        """Paint the film's `other` shot at a time counted from its own beginning."""

    @property
    def standing(self) -> Painted:
        """The picture at the beginning of the film's fault."""


def paint(film: Painter, fault: Fault | None, time_s: float) -> Painted:
    """Paint what the film shows at a time."""
    if fault is None or fault.kind not in _CHANGES or not fault.holds(frame_at(time_s)):
        return film.paint(film.shot_at(time_s), time_s)
    return _CHANGES[fault.kind](film, fault, time_s)


def _other(film: Painter, fault: Fault, time_s: float) -> Painted:
    return film.paint_other(time_s)


def _stand(film: Painter, fault: Fault, time_s: float) -> Painted:
    return film.standing


def _dissolve(film: Painter, fault: Fault, time_s: float) -> Painted:
    """Mix the two shots; the boxes are those of the one whose time it is."""
    two = [film.paint(shot, time_s) for shot in _sides(film, fault)]
    share = (time_s * FPS - fault.start + 1) / (_end(fault) - fault.start + 1)
    mixed = cv2.addWeighted(two[0][0], 1.0 - share, two[1][0], share, 0.0)
    return np.asarray(mixed, np.uint8), two[film.shot_at(time_s) - _sides(film, fault)[0]][1]


def _fade(film: Painter, fault: Fault, time_s: float) -> Painted:
    """Darken the picture towards the cut, which is black."""
    image, boxes = film.paint(film.shot_at(time_s), time_s)
    cut = film.starts[_sides(film, fault)[1]]
    away = time_s * FPS - cut
    gain = away / (_end(fault) - cut) if away > 0 else away / (fault.start - 1 - cut)
    return np.asarray(np.round(image * gain), np.uint8), boxes


def _sides(film: Painter, fault: Fault) -> tuple[int, int]:
    """Return the two shots between which the fault lies."""
    first = film.shot_at(fault.start / FPS)
    return first, first + 1


def _end(fault: Fault) -> int:
    assert fault.end is not None, f"{fault.kind} ends"
    return fault.end


def _cover(film: Painter, fault: Fault, time_s: float) -> Painted:
    """Lay a hand over the mouth of every face: a palm with fingers, moving with the head."""
    image, boxes = film.paint(film.shot_at(time_s), time_s)
    image = image.copy()
    for box in boxes:
        _hand(image, box)
    return image, boxes


def _hand(image: Frame, box: Box) -> None:
    """Draw a hand over the mouth of one face, in place."""
    (x, y), width, height = _mouth(box)
    _palm(image, box, _SKIN)
    for finger in (-0.08, 0.0, 0.08):
        ends = [(round(x + side * width), round(y + finger * height)) for side in (-0.33, 0.2)]
        cv2.line(image, ends[0], ends[1], _SHADE, max(1, round(0.015 * width)), cv2.LINE_AA)


def _mouth(box: Box) -> tuple[tuple[float, float], float, float]:
    """Return where the mouth is, and width and height of the face."""
    width, height = box[2] - box[0], box[3] - box[1]
    return ((box[0] + box[2]) / 2, box[1] + MOUTH_HEIGHT * height), width, height


def _palm(image: NDArray[np.uint8], box: Box, colour: tuple[int, int, int] | int) -> None:
    (x, y), width, height = _mouth(box)
    axes = (round(0.36 * width), round(0.17 * height))
    cv2.ellipse(image, (round(x), round(y)), axes, 8.0, 0.0, 360.0, colour, -1, cv2.LINE_AA)


def _occlude(film: Painter, fault: Fault, time_s: float) -> Painted:
    """Draw a hand or a microphone before every face."""
    image, boxes = film.paint(film.shot_at(time_s), time_s)
    image = image.copy()
    for box in boxes:
        occluders.draw(image, _occluder(fault), box, frame_at(time_s))
    return image, boxes


def _occluder(fault: Fault) -> occluders.Occluder:
    assert fault.occluder is not None, f"{fault.kind} has an occluder"
    return fault.occluder


def hides_lips(fault: Fault) -> bool:
    """Return whether an object is drawn before the picture, over the mouth or beside it."""
    return fault.kind in ("occluder", "covered_mouth")


def hidden_share(film: Painter, fault: Fault, face: int, box: Box, frame: int) -> float:
    """Return which share of a face's lips the object hides, of a fault that `hides_lips`.

    Args:
        box: extent of the face's landmarks at this frame of the 25 fps grid, which the fault holds.
    """
    lips = film.lips(film.shot_at(frame / FPS), face, frame / FPS)
    if fault.kind == "covered_mouth":
        return share_of_lips(lips, lambda mask: _palm(mask, box, 255))
    return occluders.hidden_share(lips, _occluder(fault), box, frame)


_CHANGES: dict[str, Callable[[Painter, Fault, float], Painted]] = {
    "other_person": _other,
    "dissolve": _dissolve,
    "fade": _fade,
    "frozen": _stand,
    "hole": _stand,
    "covered_mouth": _cover,
    "occluder": _occlude,
}
"""By kind. The frames of a hole are thrown away as packets: they are not worth painting."""
