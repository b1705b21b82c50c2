"""Geometry of face boxes (x0, y0, x1, y1): extent, overlap, merging, motion."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.backend import Detection
from pipeline.faces.box import Box, area, intersection

MERGE_IOU = 0.3
"""Detections that overlap more are one face."""
SAME_BOX_IOU = 0.6
"""Above it a second detector's box adds nothing to the first one's."""
SAME_FACE_COVER = 0.5
"""Two boxes of one frame that share more of the smaller one are one face."""


def box_of(points: NDArray[Any]) -> Box:
    """Return the extent of landmarks (L, 3)."""
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def longer_side(box: Box) -> float:
    """Return the longer side of a box in pixels: the `face_px` of every table."""
    return max(box[2] - box[0], box[3] - box[1])


def face_px(boxes_T4: NDArray[np.float32]) -> float:
    """Return the size of a tracked face: the median of the longer sides of its boxes, in pixels."""
    return float(np.median((boxes_T4[:, 2:] - boxes_T4[:, :2]).max(axis=1)))


def iou(a: Box, b: Box) -> float:
    """Return intersection over union, 0 to 1."""
    both = intersection(a, b)
    return both / max(area(a) + area(b) - both, 1e-9)


def cover(a: Box, b: Box) -> float:
    """Return intersection over the smaller box: 1 where one lies inside the other.

    A profile's landmarks fill only half of the detector's square: IoU would miss that pair.
    """
    return intersection(a, b) / max(min(area(a), area(b)), 1e-9)


def same_face(a: Box, b: Box) -> bool:
    """Return whether two boxes of one frame show one face."""
    return cover(a, b) > SAME_FACE_COVER


def centre(box: Box) -> tuple[float, float]:
    """Return the middle (x, y)."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def distance(a: Box, b: Box) -> float:
    """Return the distance of the centres, in longer sides of the larger box."""
    (ax, ay), (bx, by) = centre(a), centre(b)
    return math.hypot(ax - bx, ay - by) / max(longer_side(a), longer_side(b), 1e-9)


def size_ratio(a: Box, b: Box) -> float:
    """Return larger over smaller longer side, >= 1."""
    low, high = sorted((longer_side(a), longer_side(b)))
    return high / max(low, 1e-9)


def shifted(box: Box, x: float, y: float) -> Box:
    """Return the box moved by (x, y)."""
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def merge(detections: Sequence[Detection]) -> list[Detection]:
    """Merge detections of one face into their score-weighted mean; best first."""
    left = sorted(detections, key=lambda d: (-d.score, d.box))
    merged = []
    while left:
        best = left[0]
        same = [d for d in left if d is best or iou(d.box, best.box) > MERGE_IOU]
        merged.append(_mean(same))
        left = [d for d in left if not any(d is s for s in same)]
    return merged


def joined(found: Sequence[Detection], more: Sequence[Detection]) -> list[Detection]:
    """Add those of `more` whose box is new to `found`, best first; `found` stays as it is.

    No mean of the two: on a profile the boxes differ, and the landmarks fit only one of them.
    """
    new = [one for one in more if all(iou(one.box, old.box) <= SAME_BOX_IOU for old in found)]
    return sorted([*found, *new], key=lambda d: (-d.score, d.box))


def _mean(detections: Sequence[Detection]) -> Detection:
    """Return the weighted mean; of the roll the mean direction, since +179 and -179 are one."""
    total = sum(d.score for d in detections)
    x0, y0, x1, y1 = (sum(d.score * d.box[i] for d in detections) / total for i in range(4))
    up = sum(d.score * math.sin(d.roll_rad) for d in detections)
    along = sum(d.score * math.cos(d.roll_rad) for d in detections)
    return Detection((x0, y0, x1, y1), detections[0].score, math.atan2(up, along))
