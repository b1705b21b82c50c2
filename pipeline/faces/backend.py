"""What a face backend must do: find faces, place landmarks, name the three template anchors.

Coordinates are float pixels of the frame it was given: x to the right, y down, the centre of the
top left pixel at (0, 0). "Left" and "right" are the picture's, never the person's.

Shapes: L landmarks, 3 coordinates (x, y, z).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.params.curation import FacesParams

Frame = NDArray[np.uint8]
"""H x W x 3, RGB."""
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1."""
MIN_SCORE = 0.5
"""Landmarks with a lower score lie on no face."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One face found without knowledge of other frames."""

    box: Box
    score: float
    """0 to 1."""
    roll_rad: float = 0.0
    """Angle of the eye line, positive when the picture's right eye is lower."""


@dataclass(frozen=True, slots=True)
class FaceLandmarks:
    """Landmarks of one face in one frame."""

    points: NDArray[np.float32]
    """(L, 3): x, y in pixels; z in the same scale, smaller is nearer; 0 where not known."""
    score: float
    """Confidence that this is a face, 0 to 1."""


Region = Detection | NDArray[np.float32]
"""Where to look: a detection, landmarks (L, 3) of a frame just before, or a box (4,)."""


class FaceBackend(Protocol):
    """A detector and a landmark network. One instance belongs to one thread."""

    name: str
    landmark_schema: str
    """`mesh468` or `insightface106`."""

    def detect(self, frame: Frame) -> list[Detection]:
        """Find every face of the frame, best first, duplicates merged."""

    def landmarks(self, frame: Frame, previous: Region) -> FaceLandmarks:
        """Place the landmarks of the face in or near `previous`."""

    def anchors(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 3, 2): left brow centre, right brow centre, nose, from (..., L, 3)."""

    def weights(self) -> Mapping[str, str]:
        """Return file name -> SHA-256 of the networks."""


def box_of(points: NDArray[Any]) -> Box:
    """Return the extent of landmarks (L, 3)."""
    x0, y0 = points[:, :2].min(axis=0)
    x1, y1 = points[:, :2].max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def longer_side(box: Box) -> float:
    """Return the longer side of a box in pixels: the `face_px` of every table."""
    return max(box[2] - box[0], box[3] - box[1])


def open_backend(params: FacesParams) -> FaceBackend:
    """Load the backend that `params.backend` names.

    Raises:
        WeightsError: a model file is absent or altered.
    """
    if params.backend == "litert":
        from pipeline.faces.litert import LiteRTBackend

        return LiteRTBackend()
    from pipeline.faces.insightface import InsightFaceBackend

    return InsightFaceBackend(params.insightface_name, params.insightface_root)


def weights_of(params: FacesParams) -> Mapping[str, str]:
    """Return file name -> SHA-256 of a backend's networks without loading them.

    Raises:
        WeightsError: a model file is absent or altered.
    """
    if params.backend == "litert":
        from pipeline.faces.litert import installed_weights

        return installed_weights()
    from pipeline.faces.insightface import pack_sha256

    return pack_sha256(params.insightface_name, params.insightface_root)
