"""How many faces were in the picture while a clip lasts, from the tracks that `faces` has found.

Nothing is decoded. The detector looks once a second (`faces.detect_every_frames`) and at faces of
`faces.min_face_px` and more, so a smaller or shorter sight is not counted.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tables.rows import Clip

NEEDED = ("video_id", "track", "start_frame", "end_frame", "reason")
"""Columns of `faces` that are read."""
_UNSEEN = frozenset({"face_lost"})
"""Stretches of a track whose face was not seen."""


@dataclass(frozen=True, slots=True)
class FacesSeen:
    """Over the frames of one clip, itself included."""

    median: float
    most: int


class SeenTracks:
    """Every stretch in which a face was seen, by film."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Read the rows of `faces`, kept or not, with the columns `NEEDED`."""
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row in rows:
            tracked = row["track"] is not None and row["track"] >= 0
            if tracked and row["reason"] not in _UNSEEN:
                spans[row["video_id"]].append((row["start_frame"], row["end_frame"]))
        self._spans = {film: np.array(sorted(found)) for film, found in spans.items()}

    def during(self, clip: Clip) -> FacesSeen:
        """Return how many faces were seen on the frames of a clip."""
        spans: NDArray[np.int64] = self._spans[clip.video_id] - clip.start_frame
        near = spans[(spans[:, 0] < clip.num_frames) & (spans[:, 1] > 0)].clip(0, clip.num_frames)
        change = np.zeros(clip.num_frames + 1, np.int64)
        np.add.at(change, near[:, 0], 1)
        np.add.at(change, near[:, 1], -1)
        count_T = np.cumsum(change)[:-1]
        return FacesSeen(float(np.median(count_T)), int(count_T.max()))
