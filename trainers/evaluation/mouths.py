"""Where the lips are: landmarks of aligned faces, and their distance (LMD).

Aligned faces are stretched squares. They are looked at on LatentSync's canvas of 210 x 280 pixels,
where a face has its own proportions whatever the model's resolution; "pixels" are those.

Shape suffixes: T frames, L landmarks, P = 40 lip points, C coordinates (x, y, z), H and W pixels.
Source: LMD after Chen et al., "Lip Movements Generation at a Glance" (ECCV 2018): mean distance of
corresponding lip points, after both mouths were moved onto one centre.
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
"""Where an aligned face lies on the canvas: x0, y0, x1, y1 of its landmarks, on average. Looked for
instead of detected: the detector misses one face in four that fills its picture."""
BORDER_X, BORDER_Y = CANVAS_W // 2, CANVAS_H // 2
"""Grey around the canvas, so that a cheek or chin beyond it can be placed."""


@dataclass(frozen=True, slots=True)
class MouthDistance:
    """LMD of one clip."""

    px: float
    """In pixels of the canvas; NaN where no frame could be compared."""
    mouth_widths: float
    """The same, frame by frame divided by the width of the real mouth: free of the face's size."""
    frames: int
    """Frames with a face in both."""


def as_canvas(frame_CHW: Pixels) -> Frame:
    """Return an aligned face with its own proportions, (280, 210, 3)."""
    frame = np.ascontiguousarray(frame_CHW.transpose(1, 2, 0))
    how = cv2.INTER_AREA if frame.shape[0] > CANVAS_H else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (CANVAS_W, CANVAS_H), interpolation=how), np.uint8)


def face_landmarks(backend: FaceBackend, frames_TCHW: Pixels) -> Floats:
    """Return the landmarks (T, L, 3) in pixels of the canvas; NaN where no face is seen.

    Every frame is looked at alone: a frame without a face changes no other.
    """
    found = [_look(backend, as_canvas(frame_CHW)) for frame_CHW in frames_TCHW]
    size = max(len(points) for points in found)
    return np.stack([np.broadcast_to(points, (size, 3)) for points in found]).astype(np.float32)


def _look(backend: FaceBackend, canvas: Frame) -> Floats:
    """Return the landmarks (L, 3) of one frame, or one row of NaN."""
    edges = (BORDER_Y, BORDER_Y, BORDER_X, BORDER_X)
    padded = cv2.copyMakeBorder(canvas, *edges, cv2.BORDER_CONSTANT, value=(FILL, FILL, FILL))
    image, shift = np.asarray(padded, np.uint8), np.array([BORDER_X, BORDER_Y], np.float32)
    seen_once = backend.landmarks(image, FACE + np.tile(shift, 2))
    if seen_once.score >= MIN_SCORE:
        seen_twice = backend.landmarks(image, seen_once.points)
        if seen_twice.score >= MIN_SCORE:
            return seen_twice.points - np.array([*shift, 0], np.float32)
    return np.full((1, 3), np.nan, np.float32)


def mouth_distance(real_TLC: Floats, made_TLC: Floats) -> MouthDistance:
    """Return how far the lips of two versions of a clip are apart.

    Frames in which either has no face are left out.

    Raises:
        ValueError: not as many frames in both, or no known landmarks.
    """
    if len(real_TLC) != len(made_TLC):
        raise ValueError(f"{len(real_TLC)} and {len(made_TLC)} frames to compare")
    both = seen(real_TLC) & seen(made_TLC)
    if not both.any():
        return MouthDistance(float("nan"), float("nan"), 0)
    real, made = (face_points(points[both]).lips[..., :2] for points in (real_TLC, made_TLC))
    gap_TPC = (real - real.mean(axis=1, keepdims=True)) - (made - made.mean(axis=1, keepdims=True))
    apart_T = np.linalg.norm(gap_TPC, axis=2).mean(axis=1)
    width_T = np.linalg.norm(real[:, RIGHT_CORNER] - real[:, LEFT_CORNER], axis=1)
    shares_T = apart_T / np.maximum(width_T, 1e-3)
    return MouthDistance(float(apart_T.mean()), float(shares_T.mean()), int(both.sum()))


def seen(landmarks_TLC: Floats) -> NDArray[np.bool_]:
    """Return which frames have a face, (T,)."""
    return np.asarray(np.isfinite(landmarks_TLC).all(axis=(1, 2)))


def bridged(landmarks_TLC: Floats) -> Floats:
    """Fill frames without a face with the nearest frame that has one, the earlier of two.

    Raises:
        ValueError: no frame has a face.
    """
    known = np.flatnonzero(seen(landmarks_TLC))
    if not len(known):
        raise ValueError("no frame has a face")
    places = np.arange(len(landmarks_TLC))
    nearest = np.abs(places[:, None] - known[None]).argmin(axis=1)
    return np.asarray(landmarks_TLC[known[nearest]])
