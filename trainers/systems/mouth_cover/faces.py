"""The faces that covers are painted on: every eighth frame of aligned clips.

Shapes: L = landmarks, H x W = 256 x 256 crop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.schemas import MESH_FACE_OVAL, LandmarkSchema, schema_named
from pipeline.media.clip_reader import read_arrays
from pipeline.media.encode import read_video
from pipeline.tables.clip_files import ClipFiles

Picture = NDArray[np.uint8]
FRAME_STEP = 8
"""Neighbouring frames hardly differ."""


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """One aligned frame and its landmarks."""

    source: str
    """Id of the video: what the folds are drawn by."""
    clip_id: str
    frame: int
    picture: Picture
    """(H, W, 3) RGB."""
    points: NDArray[np.float64]
    """(L, 2) landmarks in pixels of the crop."""
    schema: LandmarkSchema

    @property
    def lips(self) -> NDArray[np.float64]:
        """Return the outer edge of the lips, (P, 2)."""
        return self.points[list(self.schema.outer_lip.points)]

    @property
    def oval(self) -> NDArray[np.float64]:
        """Return the edge of the face of the mesh, once around from the forehead, (36, 2)."""
        return self.points[list(MESH_FACE_OVAL)]


def faces_of(items: Sequence[ClipFiles]) -> Iterator[FaceCrop]:
    """Yield every eighth frame of the clips in which the face was found."""
    for item in items:
        assert item.video is not None, "covers are painted on pictures"
        yield from _faces_of_clip(item, item.video)


def _faces_of_clip(item: ClipFiles, video: Path) -> Iterator[FaceCrop]:
    schema = schema_named(item.clip.landmark_schema)
    arrays = read_arrays(item.landmarks, ("landmarks", "matrices", "interpolated"))
    points_TLC = schema.checked(arrays["landmarks"])[:, :, :2]
    matrices_T23 = arrays["matrices"].astype(np.float64)
    frames = read_video(video)
    for frame in range(1, len(frames), FRAME_STEP):
        if arrays["interpolated"][frame]:
            continue
        matrix_23 = matrices_T23[frame]
        points = points_TLC[frame] @ matrix_23[:, :2].T + matrix_23[:, 2]
        yield FaceCrop(
            item.clip.video_id, item.clip.clip_id, frame, np.asarray(frames[frame]), points, schema
        )
