"""Where the face lies in a clip's pictures, from the landmarks of its npz.

Shapes: T = frames, L = landmarks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.export.contents import ExportSample
from pipeline.export.landmarks68 import in_crop, to_ibug68
from pipeline.media.clip_reader import read_arrays


@dataclass(frozen=True, slots=True)
class FaceGeometry:
    """The face of one clip, in pixels of its pictures."""

    points: NDArray[np.float64]
    """(T, 68, 2), converted."""
    boxes: NDArray[np.int64]
    """(T, 4) left, top, right, bottom of all landmarks, inside of the picture."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The box that holds the face in every frame: one size and place for the whole clip.

        A box that follows each frame would tell how far the mouth is open.
        """
        low, high = self.boxes[:, :2].min(axis=0), self.boxes[:, 2:].max(axis=0)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    @property
    def width_px(self) -> int:
        """Median width of the face."""
        return int(np.median(self.boxes[:, 2] - self.boxes[:, 0]))


def face_geometry(sample: ExportSample) -> FaceGeometry:
    """Return the face of a clip.

    Raises:
        ExportError: its landmark set has no conversion to 68 points.
        DecodeError: the npz is damaged.
    """
    arrays = read_arrays(sample.members["npz"], ("landmarks", "matrices"))
    matrices, size = arrays["matrices"], sample.entry.crop_px
    points = to_ibug68(arrays["landmarks"], sample.entry.landmark_schema)
    every = in_crop(arrays["landmarks"][:, :, :2].astype(np.float64), matrices)
    low, high = np.floor(every.min(axis=1)), np.ceil(every.max(axis=1))
    boxes = np.concatenate([low, high], axis=1).clip(0, size).astype(np.int64)
    return FaceGeometry(in_crop(points, matrices), boxes)
