"""Things that may lie over a mouth, painted: each kind gives a picture and how opaque it is.

A kind is a function (random, face, place) -> (H, W, 3) RGB and (H, W) alpha, 0 to 1. The place is
where its middle goes and how large it is; whether it then covers the mouth is measured, not assumed
(`covered_share`).

Shapes: H x W = 256 x 256 crop, P = points.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trainers.systems.mouth_cover.faces import FaceCrop

Floats = NDArray[np.floating[Any]]
Random = np.random.Generator
Painted = tuple[Floats, Floats]
SIDE = 256
_Y, _X = np.mgrid[:SIDE, :SIDE].astype(np.float32)
_FILL = 127.0
"""The crop's colour outside of the frame."""
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cover goes, in pixels of the crop."""

    x: float
    y: float
    half_w: float
    half_h: float


def covered_share(face: FaceCrop, alpha_HW: Floats) -> float:
    """Return which share of the lips is hidden, 0 to 1."""
    lips = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(lips, [np.rint(face.lips).astype(np.int32)], 1)
    return float(alpha_HW[lips > 0].mean()) if lips.any() else 0.0


def laid_over(face: FaceCrop, painted: Painted) -> NDArray[np.uint8]:
    """Return the face with the cover on it, (H, W, 3)."""
    colour, alpha = painted
    mixed = face.picture * (1 - alpha[..., None]) + colour * alpha[..., None]
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def box(random: Random, face: FaceCrop, place: Place) -> Painted:
    """A rectangle of one colour, possibly turned."""
    turn = random.uniform(-12, 12) if random.random() < 0.4 else 0.0
    shape = _turned_box(place, turn)
    return _plain(_colour(random)), _softened(random, shape)


def ellipse(random: Random, face: FaceCrop, place: Place) -> Painted:
    """A disc of one colour."""
    return _plain(_colour(random)), _softened(random, _disc(place, random.uniform(0, 180)))


def picture(random: Random, face: FaceCrop, place: Place) -> Painted:
    """A piece of a made-up picture: a logo, an emoji, another window."""
    cells = int(random.integers(2, 9))
    noise = random.uniform(0, 255, (cells, cells, 3))
    method = cv2.INTER_NEAREST if random.random() < 0.5 else cv2.INTER_CUBIC
    colour = _enlarged(noise, method)
    shape = _disc(place, 0.0) if random.random() < 0.5 else _turned_box(place, 0.0)
    return colour, _softened(random, shape)


def hand(random: Random, face: FaceCrop, place: Place) -> Painted:
    """Three to five fingers in the colour of this face's cheek, from any side."""
    skin = _skin(random, face)
    fingers = int(random.integers(3, 6))
    angle = random.uniform(0, 2 * np.pi)
    along, across = (
        np.array([np.cos(angle), np.sin(angle)]),
        np.array([-np.sin(angle), np.cos(angle)]),
    )
    reach = max(place.half_w, place.half_h)
    width = 2 * reach / fingers * random.uniform(0.9, 1.2)
    alpha: Floats = np.zeros((SIDE, SIDE))
    shade: Floats = np.ones((SIDE, SIDE))
    for finger in range(fingers):
        off = (finger - (fingers - 1) / 2) * width
        tip = np.array([place.x, place.y]) + across * off + along * reach * random.uniform(0.6, 1.3)
        root = tip - along * 400
        away = _distance(tip, root) / (width / 2)
        inside = away < random.uniform(0.95, 1.08)
        roundness = 1 - random.uniform(0.25, 0.55) * np.clip(away, 0, 1) ** 3
        shade = np.where(inside, roundness, shade)
        alpha = np.maximum(alpha, inside)
    light = _soft_noise(random, 5) * random.uniform(5, 22)
    colour = skin * shade[..., None] + light[..., None] + random.normal(0, 2.5, (SIDE, SIDE, 1))
    return colour, _blurred(alpha, random.uniform(0.7, 2))


def microphone(random: Random, face: FaceCrop, place: Place) -> Painted:
    """A foam or wire ball with a stem that leaves the picture below or to a side."""
    base = _colour(random) if random.random() < 0.4 else np.full(3, random.uniform(8, 70))
    size = max(place.half_w, place.half_h * 0.9)
    head = Place(place.x, place.y, size, size * random.uniform(0.8, 1.25))
    alpha = _disc(head, random.uniform(-30, 30)).astype(np.float64)
    angle = random.uniform(0.15, 0.85) * np.pi
    tip = np.array([place.x, place.y])
    end = tip + 400 * np.array([np.cos(angle), np.sin(angle)])
    alpha = np.maximum(alpha, _distance(tip, end) < size * random.uniform(0.2, 0.5))
    ball = np.hypot((_X - place.x + size * 0.3) / size, (_Y - place.y + size * 0.4) / size)
    fine = random.normal(0, random.uniform(2, 16), (SIDE // 2, SIDE // 2))
    grain = _enlarged(fine, cv2.INTER_LINEAR)
    light = random.uniform(10, 60) * np.exp(-(ball**2) * 2) + grain
    return base + light[..., None], _blurred(alpha, random.uniform(0.7, 1.6))


def cup(random: Random, face: FaceCrop, place: Place) -> Painted:
    """A cup or glass, its rim at the mouth, shaded across."""
    tilt = random.uniform(-15, 15)
    height = place.half_h * random.uniform(1.6, 3.0)
    narrow = random.uniform(0.6, 1.0)
    corners = np.array([(-1, -1), (1, -1), (narrow, 1), (-narrow, 1)]) * (place.half_w, height)
    corners = corners @ _rotation(tilt).T + (place.x, place.y + height - place.half_h)
    alpha = _polygon(corners).astype(np.float64)
    across = (_X - place.x) / place.half_w
    light = random.uniform(15, 70) * np.cos(across * 1.5 - random.uniform(-1, 1))
    return _colour(random) + light[..., None], _softened(random, alpha > 0)


def cloth(random: Random, face: FaceCrop, place: Place) -> Painted:
    """A face mask or scarf: the lower face below a line through the place."""
    oval = face.oval
    lower = oval[9:28]
    top = place.y - place.half_h * random.uniform(1.0, 1.6)
    ridge = np.array([[place.x, top - random.uniform(0, 14)]])
    lower = np.column_stack([lower[:, 0], np.maximum(lower[:, 1], top + random.uniform(-4, 12))])
    if random.random() < 0.3:
        lower = lower + (lower - lower.mean(axis=0)) * random.uniform(0, 0.4)
    shape = _hull(np.concatenate([lower, ridge]))
    pleats = random.uniform(0, 14) * np.sin(_Y / random.uniform(3, 9) + random.uniform(0, 6))
    light = pleats + _soft_noise(random, 4) * random.uniform(4, 20)
    pattern = random.uniform(-40, 40, 3) * (_soft_noise(random, 24) > 0)[..., None]
    base = _colour(random) + light[..., None] + (pattern if random.random() < 0.25 else 0)
    return base, _softened(random, shape)


def text_bar(random: Random, face: FaceCrop, place: Place) -> Painted:
    """A subtitle bar or lower third with letters, across the picture."""
    half = place.half_h * random.uniform(1.0, 1.8)
    wide = SIDE if random.random() < 0.7 else place.half_w * random.uniform(1, 2.5)
    shape = _turned_box(Place(place.x, place.y, wide, half), 0.0)
    colour = _plain(_colour(random))
    colour += np.linspace(-1, 1, SIDE)[:, None, None] * random.uniform(0, 30)
    letters = "".join(random.choice(list("ABCDEFGHKMNORSTUWXaeghmnorstw0123 "), 12))
    scale = half / random.uniform(11, 22)
    at = (int(place.x - random.uniform(30, 140)), int(place.y + half * 0.4))
    drawn = np.ascontiguousarray(np.clip(colour, 0, 255), dtype=np.uint8)
    font = int(random.choice(_FONTS))
    cv2.putText(drawn, letters, at, font, scale, _colour(random).tolist(), max(1, int(scale * 3)))
    return drawn.astype(np.float64), _softened(random, shape) * random.uniform(0.85, 1.0)


def letters(random: Random, face: FaceCrop, place: Place) -> Painted:
    """Large letters alone, without a bar: they hide little, and are no cover for most mouths."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    text = "".join(random.choice(list("ABEHKMNRSWXaegmsw@#"), 8))
    scale = place.half_h / random.uniform(9, 18)
    at = (int(place.x - random.uniform(10, 110)), int(place.y + place.half_h * 0.6))
    cv2.putText(drawn, text, at, int(random.choice(_FONTS)), scale, 1, max(2, int(scale * 4)))
    return _plain(_colour(random)), drawn.astype(np.float64)


def mosaic(random: Random, face: FaceCrop, place: Place) -> Painted:
    """Blocks of the mean colour, so coarse that no lips are left."""
    cells = max(2, round(SIDE / random.uniform(20, 40)))
    shift = random.integers(0, 16, 2)
    moved = np.roll(face.picture, shift, axis=(0, 1))
    small = cv2.resize(moved, (cells, cells), interpolation=cv2.INTER_AREA)
    coarse = _enlarged(small.astype(np.float64), cv2.INTER_NEAREST)
    coarse = np.roll(coarse, -shift, axis=(0, 1))
    shape = _turned_box(place, 0.0) if random.random() < 0.6 else _disc(place, 0.0)
    return coarse, shape.astype(np.float64)


def blur(random: Random, face: FaceCrop, place: Place) -> Painted:
    """The mouth blurred beyond recognition, the rest of the face sharp."""
    sigma = random.uniform(10, 26)
    smooth = _blurred(face.picture.astype(np.float64), sigma)
    shape = _turned_box(place, 0.0) if random.random() < 0.5 else _disc(place, 0.0)
    edge = random.uniform(0.5, 8)
    return smooth, _blurred(shape.astype(np.float64), edge)


def outside(random: Random, face: FaceCrop, place: Place) -> Painted:
    """The frame ends: beyond a line lies the crop's grey, or a black or white border."""
    angle = np.radians(random.uniform(-25, 25))
    edge = place.y - place.half_h * random.uniform(0.6, 1.5)
    beyond = (_Y - edge) * np.cos(angle) + (_X - place.x) * np.sin(angle) > 0
    level = _FILL if random.random() < 0.7 else float(random.choice([0.0, 16.0, 255.0]))
    return _plain(np.full(3, level)), beyond.astype(np.float64)


KINDS: Mapping[str, Callable[[Random, FaceCrop, Place], Painted]] = {
    "box": box,
    "ellipse": ellipse,
    "picture": picture,
    "hand": hand,
    "microphone": microphone,
    "cup": cup,
    "cloth": cloth,
    "text_bar": text_bar,
    "letters": letters,
    "mosaic": mosaic,
    "blur": blur,
    "outside": outside,
}


def _colour(random: Random) -> Floats:
    choice = random.random()
    if choice < 0.2:
        return np.full(3, random.uniform(0, 25))
    if choice < 0.4:
        return np.full(3, random.uniform(225, 255))
    if choice < 0.55:
        return np.full(3, random.uniform(25, 225))
    if choice < 0.7:  # skin and lips
        return np.array([230.0, 170.0, 140.0]) * random.uniform(0.25, 1.1) + random.normal(0, 8, 3)
    return random.uniform(0, 255, 3)


def _skin(random: Random, face: FaceCrop) -> Floats:
    """Return the median colour of the cheek, made a little lighter or darker."""
    x, y = (face.oval[30] * 0.35 + face.lips.mean(axis=0) * 0.65) + random.normal(0, 4, 2)
    x, y = int(np.clip(x, 10, SIDE - 10)), int(np.clip(y, 10, SIDE - 10)) - 8
    patch = face.picture[max(y - 8, 0) : y + 8, x - 8 : x + 8].reshape(-1, 3)
    tint = random.uniform(0.75, 1.15) * random.uniform(0.94, 1.06, 3)
    return np.asarray(np.median(patch, axis=0) * tint)


def _plain(colour: Floats) -> Floats:
    return np.broadcast_to(colour, (SIDE, SIDE, 3)).astype(np.float64)


def _softened(random: Random, shape: NDArray[np.bool_]) -> Floats:
    solid = shape.astype(np.float64)
    edge = random.uniform(0, 2.5)
    return _blurred(solid, edge) if edge > 0.5 else solid


def _rotation(degrees: float) -> Floats:
    turn = np.radians(degrees)
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])


def _turned_box(place: Place, degrees: float) -> NDArray[np.bool_]:
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (place.half_w, place.half_h)
    return _polygon(corners @ _rotation(degrees).T + (place.x, place.y))


def _hull(corners: Floats) -> NDArray[np.bool_]:
    return _polygon(np.asarray(cv2.convexHull(corners.astype(np.float32))[:, 0], np.float64))


def _blurred(values: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float64)


def _enlarged(values: Floats, method: int) -> Floats:
    return np.asarray(cv2.resize(values, (SIDE, SIDE), interpolation=method), np.float64)


def _disc(place: Place, degrees: float) -> NDArray[np.bool_]:
    x, y = _X - place.x, _Y - place.y
    turn = _rotation(degrees if place.half_h > 0.7 * place.half_w else 0.0)
    u, v = turn[0, 0] * x + turn[1, 0] * y, turn[0, 1] * x + turn[1, 1] * y
    inside: NDArray[np.bool_] = (u / place.half_w) ** 2 + (v / place.half_h) ** 2 < 1
    return inside


def _polygon(corners: Floats) -> NDArray[np.bool_]:
    shape = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(shape, [np.rint(corners).astype(np.int32)], 1)
    return shape > 0


def _distance(one: Floats, two: Floats) -> Floats:
    """Return the distance of every pixel from the line between two points."""
    line = two - one
    share = ((_X - one[0]) * line[0] + (_Y - one[1]) * line[1]) / (line @ line)
    share = np.clip(share, 0, 1)
    return np.asarray(np.hypot(_X - one[0] - share * line[0], _Y - one[1] - share * line[1]))


def _soft_noise(random: Random, cells: int) -> Floats:
    noise = random.normal(0, 1, (cells, cells))
    return _enlarged(noise, cv2.INTER_CUBIC)
