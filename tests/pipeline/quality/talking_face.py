"""Aligned crops of a rendered talking portrait, whole or with something over the mouth."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from pipeline.demo.articulation import TRACK_HZ, Articulation
from pipeline.demo.motion import move
from pipeline.demo.portrait import Framing, Sitter, framed
from pipeline.demo.talking_portrait import TalkingPortrait
from pipeline.faces.alignment import similarity, to_square, warp
from pipeline.faces.schemas import MESH468
from pipeline.quality.cover import lips_in_crop
from pipeline.quality.cover_input import SMALL_PX, reduced
from pipeline.tables.rows import FPS

SIZE = 480
Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(frame, lips (P, 2) in its pixels) -> frame with something painted on it."""


def nothing(frame: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Leave the frame as it is."""
    return frame


@cache
def portrait_frames(
    sitter: Sitter, mirrored: bool = False, gain: float = 1.0, face_px: float = 170.0
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return 24 (frame, (468, 3) landmarks), the mouth opening and closing twice."""
    framing = Framing(SIZE, SIZE, face_px, mirrored=mirrored, gain=(gain, gain, gain))
    time = np.arange(TRACK_HZ) / TRACK_HZ
    gap, rest = 0.5 - 0.5 * np.cos(4 * np.pi * time), np.zeros(TRACK_HZ)
    mouth = Articulation(gap, 0.5 * np.sin(2 * np.pi * time), rest, rest)
    talker = TalkingPortrait(framed(sitter, framing), mouth, move(3, 1.0))
    times = [frame / FPS for frame in range(24)]
    return tuple((talker.render(t).image, talker.landmarks(t)) for t in times)


def clip_of(
    frames: tuple[tuple[np.ndarray, np.ndarray], ...], paint: Paint, first: int = 0, end: int = 99
) -> tuple[np.ndarray, np.ndarray]:
    """Paint frames first to end, align, reduce: (T, 3, 64, 64) planes and (T, P, 2) lips."""
    planes, matrices, points_TLC = [], [], np.stack([points for _, points in frames])
    for number, (image, points) in enumerate(frames):
        lips = points[list(MESH468.outer_lip.points), :2]
        shown = paint(image.copy(), lips) if first <= number < end else image
        matrix = similarity(MESH468.template_anchors(points))
        crop = warp(shown, matrix)
        luma, red, blue = cv2.split(cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb))
        planes.append(np.stack([reduced(luma), reduced(blue), reduced(red)]))
        matrices.append(to_square(matrix, 256))
    assert planes[0].shape == (3, SMALL_PX, SMALL_PX)
    return np.stack(planes), lips_in_crop(points_TLC, np.stack(matrices), MESH468, 256)
