"""Matching of clips to the true faces of the demo corpus.

A clip belongs to the true face of the same shot whose boxes cover its boxes (mean IoU over 0.5).
Where the item cache is gone, boxes are not known: then the only face that shares most of the
clip's time is taken, and with several faces none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.truth import Face, FileTruth
from pipeline.engine.cache import Cache
from pipeline.errors import DamagedCacheError
from pipeline.faces.boxes import iou
from pipeline.media.clip_reader import read_arrays
from pipeline.tables.run_tables import Record, RunTables

MIN_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Match:
    """A clip and the true face it shows, if it shows one."""

    uri: str
    clip: Record
    face: Face | None


def match_clips(
    tables: RunTables, known: Mapping[str, str], files: Mapping[str, FileTruth], cache: Cache
) -> list[Match]:
    """Return one Match per kept clip of a video in `known` (video_id -> uri)."""
    rows = [row for row in tables.kept("faces") if row["video_id"] in known]
    return [
        Match(uri, row, _face_of(row, files[uri].faces, cache))
        for row in rows
        for uri in [known[row["video_id"]]]
    ]


def _face_of(clip: Record, faces: Sequence[Face], cache: Cache) -> Face | None:
    together = [face for face in faces if _overlap(clip, face) > clip["num_frames"] / 2]
    boxes = boxes_of(clip, cache)
    if boxes is None:
        return together[0] if len(together) == 1 else None
    scored = [(mean_iou(clip, boxes, face), -index) for index, face in enumerate(together)]
    best = max(scored, default=(0.0, 0))
    return together[-best[1]] if best[0] > MIN_IOU else None


def _overlap(clip: Record, face: Face) -> int:
    first = max(clip["start_frame"], face.start_frame)
    return int(min(clip["end_frame"], face.end_frame) - first)


def boxes_of(clip: Record, cache: Cache) -> NDArray[np.float64] | None:
    """Return (T, 4), one box per frame of the clip; None when the cache does not have them."""
    try:
        path = cache.artifact_path(clip["artifact"], f"{clip['clip_id']}.npz")
    except DamagedCacheError:
        return None
    return np.asarray(read_arrays(path, ("boxes",))["boxes"], np.float64)


def mean_iou(clip: Record, boxes: NDArray[np.float64], face: Face) -> float:
    """Return the mean IoU over the frames that have a true box; 0 where there is none."""
    true = dict(zip(face.frames, face.boxes, strict=True))
    overlaps = [
        iou((box[0], box[1], box[2], box[3]), true[frame])
        for frame, box in enumerate(boxes.tolist(), start=clip["start_frame"])
        if frame in true
    ]
    return float(np.mean(overlaps)) if overlaps else 0.0
