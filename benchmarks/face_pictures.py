"""Pictures with a known face, and pictures without one, for `benchmarks.face_recall`.

A face is known where SCRFD (an InsightFace pack) finds it and Face Mesh accepts the place: two
networks, neither of them the detector that is measured. From such faces come pictures that a face
fills to 60 to 130 % of the shorter side, turned, and shifted over the border. Pictures without a
face are those of the films that are named as such, the parts of a frame beside and below its faces,
and heads whose face is covered by what lies above it (hair, hat or wall).

Shapes: L landmarks.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.backend import MIN_SCORE, Frame
from pipeline.faces.box import Box
from pipeline.faces.boxes import box_of, centre, intersection, longer_side
from pipeline.faces.insightface import InsightFaceBackend
from pipeline.faces.litert import LiteRTBackend
from pipeline.faces.schemas import MESH468, MESH_FACE_OVAL
from pipeline.media.frames import frames_at_25fps
from pipeline.quality.pose import head_pose

FACELESS = ("datajuicer_video11", "datajuicer_video2", "v2d_slides_voiceover", "vggsound_dog")
"""Films without a human face; two of them show cats and a dog."""
FILLS = (0.6, 0.75, 0.9, 1.1, 1.3)
"""Longer side of the face, in shorter sides of the picture."""
ROLLS_DEG = (0, 15, 30, 45, 90, 180)
SHAPES = ((360, 360), (640, 360), (360, 640))
"""Width and height of a cropped picture, in pixels."""
MIN_FACE_PX = 96
"""Smaller faces are not enlarged to fill a picture."""
SURE = 0.9
"""Score of the mesh from which a face is cropped."""
OVER_BORDER = 0.3
"""Share of the face that a shifted picture leaves out."""
LONGEST_FRAMES = 750
"""Of a film, at 25 fps; slides and interviews change little after that."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a picture, in its pixels."""

    points: NDArray[np.float32]
    """(L, 3)."""
    score: float
    """Of the mesh."""
    yaw_deg: float
    roll_deg: float = 0.0
    """By how much a cropped picture is turned."""

    @property
    def box(self) -> Box:
        """Extent of the landmarks."""
        return box_of(self.points)

    def share(self, image: Frame) -> float:
        """Return the longer side, in shorter sides of the picture."""
        return longer_side(self.box) / float(min(image.shape[:2]))

    def is_cut(self, image: Frame) -> bool:
        """Return whether a tenth of the face lies outside the picture."""
        x0, y0, x1, y1 = self.box
        inside = intersection(self.box, (0.0, 0.0, image.shape[1], image.shape[0]))
        return inside < 0.9 * (x1 - x0) * (y1 - y0)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and every face known on it."""

    film: str
    image: Frame
    faces: tuple[Face, ...]
    unsure: tuple[Box, ...] = ()
    """Found by one of the two networks only: neither a miss nor a false alarm."""


class Labels:
    """Finds the known faces of a frame."""

    def __init__(self, pack: str, root: str) -> None:
        self._reference = InsightFaceBackend(pack, root)
        self._mesh = LiteRTBackend()

    def __call__(self, film: str, image: Frame) -> Picture:
        """Return the picture with its faces; in films without a face every box is a mistake."""
        if film in FACELESS:
            return Picture(film, image, ())
        faces, unsure = [], []
        for one in self._reference.detect(image):
            found = self._mesh._refined(image, one)
            if found.score >= MIN_SCORE:
                yaw = float(head_pose(found.points[None].astype(np.float64), MESH468)[0, 0])
                faces.append(Face(found.points, found.score, yaw))
            else:
                unsure.append(one.box)
        return Picture(film, image, tuple(faces), tuple(unsure))


def films(folder: Path, every: int, labels: Labels) -> Iterator[list[Picture]]:
    """Yield the labelled frames of one film after another, every `every`-th of the 25 fps grid."""
    for path in sorted(folder.glob("*.*")):
        if path.suffix != ".md":
            frames = islice(frames_at_25fps(path), 0, LONGEST_FRAMES, every)
            yield [labels(path.stem, frame) for frame in frames]


def close_ups(pictures: list[Picture], count: int = 1) -> Iterator[Picture]:
    """Yield sure faces of the film so that they fill the picture, turned and shifted."""
    fit = [
        (picture, face)
        for picture in pictures
        for face in picture.faces
        if face.score >= SURE and longer_side(face.box) >= MIN_FACE_PX
    ]
    for picture, face in fit[:: max(1, len(fit) // count)][:count]:
        random = np.random.default_rng(zlib.crc32(picture.film.encode()) + len(fit))
        for fill in FILLS:
            for roll in ROLLS_DEG:
                yield _close_up(picture, face, fill, roll * random.choice((-1, 1)), random)


def _close_up(
    picture: Picture, face: Face, fill: float, roll: float, random: np.random.Generator
) -> Picture:
    """Turn the face by `roll` degrees, scale it and place it; half of them over the border."""
    width, height = SHAPES[random.integers(len(SHAPES))]
    side = fill * min(width, height)
    scale = side / longer_side(face.box)
    target = np.array([width, height]) / 2
    if random.random() < 0.5:
        target = _at_the_border(target, side, random)
    middle = centre(face.box)
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, roll, scale), np.float64)
    matrix[:, 2] += target - np.array(middle)
    edge, area = cv2.BORDER_REPLICATE, cv2.INTER_AREA
    image = cv2.warpAffine(picture.image, matrix, (width, height), flags=area, borderMode=edge)
    points = face.points.copy()
    points[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    points[:, 2] *= scale
    placed = Face(points, face.score, face.yaw_deg, abs(roll))
    return Picture(picture.film, np.asarray(image, np.uint8), (placed,))


def _at_the_border(
    middle: NDArray[np.float64], side: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return a place of the face's middle at which OVER_BORDER of it lies outside one edge."""
    axis, end = random.integers(2), random.choice((-1, 1))
    moved = middle.copy()
    moved[axis] += end * (middle[axis] - side * (0.5 - OVER_BORDER))
    return moved


def without_faces(pictures: list[Picture]) -> Iterator[Picture]:
    """Yield the parts of a film's frames without a face, and its heads with the face covered."""
    for picture in pictures[::2]:
        if picture.film in FACELESS:
            yield picture
            continue
        boxes = [*(face.box for face in picture.faces), *picture.unsure]
        if not boxes:
            continue
        for part in _parts(picture.image, boxes):
            if min(part.shape[:2]) >= MIN_FACE_PX:
                yield Picture(picture.film, np.ascontiguousarray(part), ())
        if len(picture.faces) == len(boxes) == 1 and longer_side(boxes[0]) >= MIN_FACE_PX:
            yield _covered(picture)


def _parts(image: Frame, boxes: list[Box]) -> list[Frame]:
    """Return what lies left, right and below of all faces, a quarter of a face away."""
    x0 = min(box[0] for box in boxes)
    x1, y1 = (max(box[i] for box in boxes) for i in (2, 3))
    far = max(longer_side(box) for box in boxes) / 4
    left, right = max(0, int(x0 - far)), int(x1 + far)
    return [image[:, :left], image[:, right:], image[int(y1 + far) :]]


def _covered(picture: Picture) -> Picture:
    """Lay what is above the eyebrows and the head over the face, with a soft edge."""
    (face,) = picture.faces
    x0, y0, x1, y1 = (round(value) for value in face.box)
    height, width = picture.image.shape[:2]
    above = picture.image[max(0, y0 - (y1 - y0) // 2) : max(8, y0), max(0, x0) : min(width, x1)]
    patch = cv2.resize(above, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    shift = np.array([[1.0, 0.0, x0], [0.0, 1.0, y0]])
    cover = cv2.warpAffine(patch, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    blend = _soft_oval(face, (height, width))
    image = np.round(picture.image * (1 - blend) + cover * blend).astype(np.uint8)
    return Picture(picture.film, image, ())


def _soft_oval(face: Face, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return (height, width, 1): 1 on the face and an eighth of it around, 0 far away."""
    mask: Frame = np.zeros(size, np.uint8)
    oval = np.round(face.points[list(MESH_FACE_OVAL), :2]).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(oval), 255)
    soft = max(3, int(face.box[2] - face.box[0]) // 8)
    wide = cv2.dilate(mask, np.ones((soft, soft), np.uint8))
    blurred = cv2.GaussianBlur(wide, (0, 0), soft / 3)
    return np.asarray(blurred[..., None] / 255, np.float32)
