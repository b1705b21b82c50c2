"""Which true face of the demo corpus a clip shows.

A clip belongs to the true face of the same shot whose boxes cover its boxes (mean IoU over 0.5).
Where the item cache is gone, boxes are not known: then the only face that shares most of the
clip's time is taken, and with several faces none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.truth import Face, FileTruth
from pipeline.engine.cache import Cache
from pipeline.engine.manifest import read_table
from pipeline.media.clip_reader import read_arrays
from pipeline.tables.funnel import TABLES, table_path

MIN_IOU = 0.5
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one run, as rows; a stage that did not run has none."""

    rows: Mapping[str, Sequence[Row]]

    @classmethod
    def read(cls, data: Path) -> "Tables":
        """Read what is below the data folder."""
        paths = {stage: table_path(data, stage) for stage in TABLES}
        return cls({s: read_table(path) if path.exists() else [] for s, path in paths.items()})

    def kept(self, stage: str) -> list[Row]:
        """Return the kept rows of a stage."""
        return [row for row in self.rows[stage] if row["status"] == "kept"]

    def by_clip(self, stage: str) -> dict[str, Row]:
        """Return the rows of a stage that are about a clip, kept or not, by clip_id."""
        return {row["clip_id"]: row for row in self.rows[stage] if row["clip_id"]}


@dataclass(frozen=True, slots=True)
class Match:
    """A clip and the true face it shows, if it shows one."""

    uri: str
    clip: Row
    face: Face | None


def match_clips(
    tables: Tables, known: Mapping[str, str], files: Mapping[str, FileTruth], cache: Cache
) -> list[Match]:
    """Return one Match per kept clip of a video in `known` (video_id -> uri)."""
    rows = [row for row in tables.kept("faces") if row["video_id"] in known]
    return [
        Match(uri, row, _face_of(row, files[uri].faces, cache))
        for row in rows
        for uri in [known[row["video_id"]]]
    ]


def _face_of(clip: Row, faces: Sequence[Face], cache: Cache) -> Face | None:
    together = [face for face in faces if _overlap(clip, face) > clip["num_frames"] / 2]
    boxes = _boxes(clip, cache)
    if boxes is None:
        return together[0] if len(together) == 1 else None
    scored = [(_mean_iou(clip, boxes, face), -index) for index, face in enumerate(together)]
    best = max(scored, default=(0.0, 0))
    return together[-best[1]] if best[0] > MIN_IOU else None


def _overlap(clip: Row, face: Face) -> int:
    first = max(clip["start_frame"], face.start_frame)
    return int(min(clip["end_frame"], face.end_frame) - first)


def _boxes(clip: Row, cache: Cache) -> NDArray[np.float64] | None:
    """Return (T, 4), one box per frame of the clip; None when the cache does not have them."""
    path = cache.artifact_path(clip["artifact"], f"{clip['clip_id']}.npz")
    if not path.exists():
        return None
    return np.asarray(read_arrays(path, ("boxes",))["boxes"], np.float64)


def _mean_iou(clip: Row, boxes: NDArray[np.float64], face: Face) -> float:
    """Return the mean IoU over the frames that have a true box."""
    inside = [
        (frame - clip["start_frame"], box)
        for frame, box in zip(face.frames, face.boxes, strict=True)
        if clip["start_frame"] <= frame < clip["end_frame"]
    ]
    if not inside:
        return 0.0
    found = boxes[[index for index, _ in inside]]
    return float(_iou(found, np.array([box for _, box in inside])).mean())


def _iou(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.maximum(one[:, :2], two[:, :2]), np.minimum(one[:, 2:], two[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = sum(np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (one, two))
    return np.asarray(both / np.maximum(areas - both, 1e-9))
