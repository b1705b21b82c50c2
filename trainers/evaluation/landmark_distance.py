"""Landmarks of aligned faces, and the distance of lip landmarks (LMD).

Aligned faces are squares with a changed aspect ratio. Landmarks are detected on LatentSync's canvas
of 210 x 280 pixels, which restores the aspect ratio at any model resolution; distances are in its
pixels.

Shape suffixes: T frames, L landmarks, P = 40 lip points, C coordinates (x, y, z), H and W pixels.
Source: LMD after Chen et al., "Lip Movements Generation at a Glance" (ECCV 2018): mean distance of
corresponding lip points, with both mouths centred.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.alignment import CANVAS_H, CANVAS_W, FILL
from pipeline.faces.backend import MIN_SCORE, FaceBackend, Frame
from pipeline.faces.schemas import CONTOUR_POINTS
from pipeline.judge.landmark.points import face_points

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

LEFT_CORNER, RIGHT_CORNER = 0, CONTOUR_POINTS // 2
"""Of the outer contour, which comes first among the lip points."""
FACE = np.array([12, 4, 198, 262], np.float32)
"""Average x0, y0, x1, y1 of the landmarks of an aligned face on the canvas. Used instead of a
detection, because the detector misses one in four faces that fill the image."""
BORDER_X, BORDER_Y = CANVAS_W // 2, CANVAS_H // 2
"""Grey border around the canvas, so that landmarks outside of it can be found."""


@dataclass(frozen=True, slots=True)
class MouthDistance:
    """LMD of one clip."""

    px: float
    """In pixels of the canvas; NaN if no frame has a face in both."""
    mouth_widths: float
    """The same, divided in each frame by the width of the real mouth: independent of face size."""
    frames: int
    """Number of frames with a face in both."""


def as_canvas(frame_CHW: Pixels) -> Frame:
    """Return an aligned face with its original aspect ratio, (280, 210, 3)."""
    frame = np.ascontiguousarray(frame_CHW.transpose(1, 2, 0))
    interpolation = cv2.INTER_AREA if frame.shape[0] > CANVAS_H else cv2.INTER_CUBIC
    return np.asarray(
        cv2.resize(frame, (CANVAS_W, CANVAS_H), interpolation=interpolation), np.uint8
    )


def face_landmarks(backend: FaceBackend, frames_TCHW: Pixels) -> Floats:
    """Return the landmarks (T, L, 3) in pixels of the canvas; NaN where no face is found.

    Frames are processed independently: a frame without a face affects no other.
    """
    found = [_detect(backend, as_canvas(frame_CHW)) for frame_CHW in frames_TCHW]
    size = max(len(points) for points in found)
    return np.stack([np.broadcast_to(points, (size, 3)) for points in found]).astype(np.float32)


def _detect(backend: FaceBackend, canvas: Frame) -> Floats:
    """Return the landmarks (L, 3) of one frame, or one row of NaN if there is no face."""
    edges = (BORDER_Y, BORDER_Y, BORDER_X, BORDER_X)
    padded = cv2.copyMakeBorder(canvas, *edges, cv2.BORDER_CONSTANT, value=(FILL, FILL, FILL))
    image, shift = np.asarray(padded, np.uint8), np.array([BORDER_X, BORDER_Y], np.float32)
    first = backend.landmarks(image, FACE + np.tile(shift, 2))
    if first.score >= MIN_SCORE:
        second = backend.landmarks(image, first.points)
        if second.score >= MIN_SCORE:
            return second.points - np.array([*shift, 0], np.float32)
    return np.full((1, 3), np.nan, np.float32)


def mouth_distance(real_TLC: Floats, made_TLC: Floats) -> MouthDistance:
    """Return the landmark distance of the lips of two versions of a clip.

    Frames in which either has no face are omitted.

    Raises:
        ValueError: the numbers of frames differ, or the landmark schema is unknown.
    """
    if len(real_TLC) != len(made_TLC):
        raise ValueError(f"{len(real_TLC)} and {len(made_TLC)} frames to compare")
    both = has_face(real_TLC) & has_face(made_TLC)
    if not both.any():
        return MouthDistance(float("nan"), float("nan"), 0)
    real, made = (face_points(points[both]).lips[..., :2] for points in (real_TLC, made_TLC))
    gap_TPC = (real - real.mean(axis=1, keepdims=True)) - (made - made.mean(axis=1, keepdims=True))
    distance_T = np.linalg.norm(gap_TPC, axis=2).mean(axis=1)
    width_T = np.linalg.norm(real[:, RIGHT_CORNER] - real[:, LEFT_CORNER], axis=1)
    relative_T = distance_T / np.maximum(width_T, 1e-3)
    return MouthDistance(float(distance_T.mean()), float(relative_T.mean()), int(both.sum()))


def has_face(landmarks_TLC: Floats) -> NDArray[np.bool_]:
    """Return whether each frame has a face, (T,)."""
    return np.asarray(np.isfinite(landmarks_TLC).all(axis=(1, 2)))


def with_gaps_filled(landmarks_TLC: Floats) -> Floats:
    """Fill frames without a face from the nearest frame with one; of two, the earlier.

    Raises:
        ValueError: no frame has a face.
    """
    known = np.flatnonzero(has_face(landmarks_TLC))
    if not len(known):
        raise ValueError("no frame has a face")
    places = np.arange(len(landmarks_TLC))
    nearest = np.abs(places[:, None] - known[None]).argmin(axis=1)
    return np.asarray(landmarks_TLC[known[nearest]])
