"""Face backend on LiteRT: BlazeFace finds faces, Face Mesh places 468 points. CPU, one thread.

The files are those of MediaPipe 0.10.21 (Apache-2.0). The outputs of BlazeFace per anchor, a cell
centre, are box centre and size and six key points, in pixels of its input relative to the anchor,
and a logit. The input of Face Mesh is a square of 1.5 times the face, rotated so that the eyes are
level.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from pipeline import elementary
from pipeline.faces import boxes
from pipeline.faces.backend import (
    MIN_SCORE,
    Detection,
    FaceLandmarks,
    Frame,
    Region,
    Shown,
)
from pipeline.faces.boxes import box_of, longer_side, same_face
from pipeline.faces.looks import Looks
from pipeline.faces.schemas import MESH468
from pipeline.media.film_picture import AnyPicture, as_picture
from pipeline.weights import files as weights

MIN_DETECTION_SCORE = 0.5
CONFIDENT_SCORE = 0.9
"""From this score on the detector need not confirm the mesh."""
UPRIGHT_SCORE = 1 - 1e-5
"""An accepted look below it is repeated on the other three sides, and turned if one reaches it.

On a face the right way up the logit of the mesh is 17 or more in nine of ten frames of 62 real
faces; on one that stands on its head it is 9 or less, which still is a score near 1. This is 11.5.
"""
CONFIRM_SCALE = 3.0
"""Side of the square on which the detector confirms a face, in longer sides of the face."""
TILES_FROM_PX = 640
"""Longer side above which the detector also runs on tiles."""
TILE_SHARE = 0.6
"""Side of a tile, in shorter sides of the image."""
TILE_OVERLAP = 1 / 3
"""Overlap of neighbouring tiles, in sides: the largest face that always lies within one tile."""
REGION_SCALE = 1.5
QUARTER_TURNS = (math.pi, math.pi / 2, -math.pi / 2)
MESH_PX = 192


@dataclass(frozen=True, slots=True)
class _Grid:
    """How one BlazeFace file divides its input: stride in pixels and anchors per cell."""

    file: str
    input_px: int
    layers: tuple[tuple[int, int], ...]
    padding: float = 1.0
    """Side of the square that is looked at, in longer sides of the image."""

    def anchors(self) -> NDArray[np.float32]:
        """Return (N, 2) cell centres in pixels of the input, in the order of the outputs."""
        return np.concatenate([self._layer(*layer) for layer in self.layers])

    def _layer(self, stride: int, per_cell: int) -> NDArray[np.float32]:
        centre = (np.arange(self.input_px // stride, dtype=np.float32) + 0.5) * stride
        y, x = np.meshgrid(centre, centre, indexing="ij")
        return np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), per_cell, axis=0)


DETECTOR = _Grid("face_detection_full_range_sparse.tflite", 192, ((4, 1),))
CLOSE_DETECTOR = _Grid("face_detection_short_range.tflite", 128, ((8, 2), (16, 6)), padding=1.5)
MESH = "face_landmark.tflite"


class _Network:
    """One TFLite file on one thread."""

    def __init__(self, file: str) -> None:
        path = str(weights.path_of(file))
        self._interpreter = Interpreter(model_path=path, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [d["index"] for d in self._interpreter.get_output_details()]

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]


class _BlazeFace:
    """One BlazeFace file: RGB image -> detections, several per face."""

    def __init__(self, grid: _Grid) -> None:
        self._network = _Network(grid.file)
        self._px, self._padding = grid.input_px, grid.padding
        self._anchors = grid.anchors()

    def __call__(self, image: Shown) -> list[Detection]:
        small, scale, shift = _letterbox(as_picture(image), self._px, self._padding)
        values, logits = self._network(small.astype(np.float32) / 127.5 - 1.0)
        keep = logits[:, 0] >= _logit(MIN_DETECTION_SCORE)
        values, anchors = values[keep].astype(np.float64), self._anchors[keep]
        middle, half = values[:, 0:2] + anchors, values[:, 2:4] / 2
        corners = np.concatenate([middle - half, middle + half], axis=1)
        eyes = values[:, 6:8] - values[:, 4:6]
        rolls = elementary.arctan2(eyes[:, 1], eyes[:, 0]).tolist()
        scores = _sigmoid(logits[keep, 0].astype(np.float64)).tolist()
        placed = ((corners - np.tile(shift, 2)) / scale).tolist()
        return [Detection(tuple(b), s, r) for b, s, r in zip(placed, scores, rolls, strict=True)]


class LiteRTBackend:
    """BlazeFace and Face Mesh as a FaceBackend."""

    name = "litert"
    landmark_schema = MESH468.name

    def __init__(self) -> None:
        self._face = _BlazeFace(DETECTOR)
        self._close = _BlazeFace(CLOSE_DETECTOR)
        self._mesh = _Network(MESH)

    def detect(self, frame: Shown, looks: Looks | None = None) -> list[Detection]:
        """Find every face of the frame, best first, duplicates merged.

        On large images the detector also runs on tiles: of 64 px faces in 1080p it finds 4 of 16
        without and 16 of 16 with them.
        """
        height, width = frame.shape[:2]
        tiles = _tiles(width, height)
        if not tiles:
            found = boxes.merge(self._face(frame))
            return boxes.joined(found, boxes.merge(self._close(frame)))
        scale = DETECTOR.input_px / tiles[0][2]
        small = as_picture(frame).reduced((round(width * scale), round(height * scale)))
        seen = [_in_frame(one, 0, 0, scale) for one in self._face(small)]
        found = boxes.merge([*seen, *self._in_tiles(small, scale, tiles, looks or Looks())])
        near = [_in_frame(one, 0, 0, scale) for one in self._close(small)]
        return boxes.joined(found, boxes.merge(near))

    def landmarks(self, frame: Shown, previous: Region) -> FaceLandmarks:
        """Place 468 points.

        `score` is the mesh network's own, halved where it is below CONFIDENT_SCORE and the
        detector, run on the surroundings, finds no face: the mesh alone accepts a dog as a profile.
        """
        found = self._refined(frame, previous)
        if not MIN_SCORE <= found.score < CONFIDENT_SCORE or self._confirmed(frame, found.points):
            return found
        return replace(found, score=found.score / 2)

    def _refined(self, frame: Shown, previous: Region) -> FaceLandmarks:
        """Run the mesh on the region, and on a detection twice: its box is not the mesh's own.

        The detector's eye line is wrong for profiles: a result of low score is repeated upright.
        The short range network finds faces on their side or head and takes them for upright ones.
        While tracking a result of low score is repeated from its own points.
        """
        first = self._run_mesh(frame, previous)
        if not isinstance(previous, Detection):
            if first.score >= CONFIDENT_SCORE:
                return first
            return max(first, self._run_mesh(frame, first.points), key=lambda one: one.score)
        if first.score < CONFIDENT_SCORE:
            upright = self._run_mesh(frame, replace(previous, roll_rad=0.0))
            first = max(first, upright, key=lambda one: one.score)
        first = self._right_way_up(frame, previous, first)
        second = self._run_mesh(frame, first.points)
        return replace(second, score=min(first.score, second.score))

    def _right_way_up(
        self, frame: Shown, detection: Detection, found: FaceLandmarks
    ) -> FaceLandmarks:
        """Return the look from the side that is surely upright, else `found`."""
        if not MIN_SCORE <= found.score < UPRIGHT_SCORE:
            return found
        turned = [replace(detection, roll_rad=detection.roll_rad + turn) for turn in QUARTER_TURNS]
        best = max((self._run_mesh(frame, one) for one in turned), key=lambda one: one.score)
        return best if best.score >= UPRIGHT_SCORE else found

    def _confirmed(self, frame: Shown, points: NDArray[np.float32]) -> bool:
        box = box_of(points)
        (x, y), half = boxes.centre(box), longer_side(box) * CONFIRM_SCALE / 2
        height, width = frame.shape[:2]
        x0, y0 = min(max(0, int(x - half)), width - 1), min(max(0, int(y - half)), height - 1)
        x0, y0 = x0 - x0 % 2, y0 - y0 % 2
        x1, y1 = max(x0, int(x + half)) + 1, max(y0, int(y + half)) + 1
        part = as_picture(frame).part(x0, y0, x1, y1)
        here = boxes.shifted(box, -x0, -y0)
        return any(same_face(one.box, here) for one in self._face(part))

    def _in_tiles(
        self, small: Frame, scale: float, tiles: list[tuple[int, int, int]], looks: Looks
    ) -> list[Detection]:
        """Return the faces that the detector sees in tiles, cut from a copy of the frame.

        Args:
            small: the frame, reduced by `scale`, at which a tile has the detector's size.
            tiles: (x, y, side) in the frame.
        """
        found: list[Detection] = []
        largest = tiles[0][2] * TILE_OVERLAP
        looks.sought = [box for box in looks.sought if longer_side(box) <= largest]
        for number, (x, y, side) in enumerate(tiles):
            part, left, top = _tile(small, x, y, scale)
            grey = np.ascontiguousarray(part[..., 1])
            if looks.needs_look(number, grey, (x, y, x + side, y + side)):
                fitting = [one for one in self._face(part) if _fits_tile(one)]
                seen = [_in_frame(one, left, top, scale) for one in fitting]
                looks.note(number, grey, all(_is_known(one, looks) for one in seen))
                found += seen
        return found

    def _run_mesh(self, frame: Shown, region: Region) -> FaceLandmarks:
        to_input = _region_matrix(region)
        image = as_picture(frame).warped(to_input, (MESH_PX, MESH_PX))
        values, logit = self._mesh(np.multiply(image, np.float32(1 / 255), dtype=np.float32))
        points = values.reshape(-1, 3).astype(np.float64)
        to_frame = cv2.invertAffineTransform(to_input)
        scale = float(np.hypot(to_frame[0, 0], to_frame[1, 0]))
        xy = np.einsum("pi,ji->pj", points[:, :2], to_frame[:, :2]) + to_frame[:, 2]
        placed = np.column_stack([xy, points[:, 2] * scale]).astype(np.float32)
        return FaceLandmarks(placed, float(_sigmoid(np.float64(logit.reshape(-1)[0]))))

    def anchors(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 3, 2): left brow centre, right brow centre, nose."""
        return MESH468.template_anchors(points)

    def guides(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 4, 2): the anchors, and the steady point."""
        return MESH468.crop_guides(points)

    def weights(self) -> Mapping[str, str]:
        """Return file name -> SHA-256 of the three networks."""
        return installed_weights()


def installed_weights() -> dict[str, str]:
    """Return file name -> SHA-256 of the three networks, checked on disk.

    Raises:
        WeightsError: one of them is absent or altered.
    """
    files = (DETECTOR.file, CLOSE_DETECTOR.file, MESH)
    for file in files:
        weights.path_of(file)  # reads the file and compares it with the lock
    return {file: weights.sha256_of(file) for file in files}


def _tiles(width: int, height: int) -> list[tuple[int, int, int]]:
    """Return overlapping squares (x, y, side) that cover a large image; none for a small one."""
    if max(width, height) <= TILES_FROM_PX:
        return []
    side = round(TILE_SHARE * min(width, height))
    return [(x, y, side) for y in _tile_starts(height, side) for x in _tile_starts(width, side)]


def _tile(small: Frame, x: int, y: int, scale: float) -> tuple[Frame, int, int]:
    """Cut a tile from a copy of the frame in which it has the detector's size: (tile, x, y)."""
    px, (rows, columns) = DETECTOR.input_px, small.shape[:2]
    left, top = min(round(x * scale), columns - px), min(round(y * scale), rows - px)
    return small[top : top + px, left : left + px], left, top


def _is_known(found: Detection, looks: Looks) -> bool:
    return any(same_face(found.box, box) for box in looks.known)


def _fits_tile(found: Detection) -> bool:
    return longer_side(found.box) <= DETECTOR.input_px * TILE_OVERLAP


def _in_frame(found: Detection, left: int, top: int, scale: float) -> Detection:
    x0, y0, x1, y1 = boxes.shifted(found.box, left, top)
    return replace(found, box=(x0 / scale, y0 / scale, x1 / scale, y1 / scale))


def _tile_starts(length: int, side: int) -> list[int]:
    steps = math.ceil((length - side) / (side * (1 - TILE_OVERLAP)))
    return [round(i * (length - side) / steps) for i in range(steps + 1)]


def _letterbox(
    image: AnyPicture, px: int, padding: float = 1.0
) -> tuple[Frame, float, NDArray[np.float64]]:
    """Fit the padded image into a px square, centred on black: (square, scale, shift x y)."""
    height, width = image.shape[:2]
    scale = px / (padding * max(height, width))
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    x, y = (px - w) // 2, (px - h) // 2
    square: Frame = np.zeros((px, px, 3), np.uint8)
    square[y : y + h, x : x + w] = image.reduced((w, h))
    return square, scale, np.array([x, y], np.float64)


def _region_matrix(previous: Region) -> NDArray[np.float64]:
    """Return the 2x3 map from frame pixels to pixels of the mesh input."""
    centre, side, roll = _region(previous)
    scale = MESH_PX / (REGION_SCALE * max(side, 1.0))
    cos, sin = scale * math.cos(roll), scale * math.sin(roll)
    turn = np.array([[cos, sin], [-sin, cos]])
    shift = (MESH_PX - 1) / 2 - np.einsum("ij,j->i", turn, centre)
    return np.column_stack([turn, shift])


def _region(previous: Region) -> tuple[NDArray[np.float64], float, float]:
    """Return centre (x, y), longer side and roll of the face."""
    if isinstance(previous, Detection):
        x0, y0, x1, y1 = previous.box
        return np.array([x0 + x1, y0 + y1]) / 2, max(x1 - x0, y1 - y0), previous.roll_rad
    if previous.ndim == 1:
        left, top, right_x, bottom = map(float, previous)
        return _region(Detection((left, top, right_x, bottom), 1.0))
    xy = previous[:, :2].astype(np.float64)
    left_eye, right_eye = MESH468.outer_eye_corners
    eye_line = xy[right_eye] - xy[left_eye]
    roll = math.atan2(eye_line[1], eye_line[0])
    axes = np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
    level = np.einsum("pi,ji->pj", xy, axes)
    low, high = level.min(axis=0), level.max(axis=0)
    middle = np.einsum("ij,i->j", axes, (low + high) / 2)
    return middle, float((high - low).max()), roll


def _sigmoid(logit: NDArray[np.float64] | np.float64) -> Any:
    return 1.0 / (1.0 + elementary.exp(-np.clip(logit, -60, 60)))


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))
