"""The interface of a face backend: detection, landmarks, the three anchors of the template.

Coordinates are float pixels of the frame it was given: x to the right, y down, the centre of the
top left pixel at (0, 0). "Left" and "right" are those of the image, never the person's.

Shapes: L landmarks, 3 coordinates (x, y, z).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.box import Box
from pipeline.faces.looks import Looks
from pipeline.media.film_picture import AnyPicture

Frame = NDArray[np.uint8]
"""H x W x 3, RGB."""
Shown = Frame | AnyPicture
"""What a backend looks at: an RGB array, or a picture of a film."""
MIN_SCORE = 0.5
"""Landmarks with a lower score are taken for no face."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One face of one frame, found without other frames."""

    box: Box
    score: float
    """0 to 1."""
    roll_rad: float = 0.0
    """Angle of the eye line, positive when the right eye of the image is lower."""


@dataclass(frozen=True, slots=True)
class FaceLandmarks:
    """Landmarks of one face in one frame."""

    points: NDArray[np.float32]
    """(L, 3): x, y in pixels; z in the same scale, smaller is nearer; 0 where not known."""
    score: float
    """Confidence that this is a face, 0 to 1."""


Region = Detection | NDArray[np.float32]
"""Region of a face: a detection, landmarks (L, 3) of the previous frame, or a box (4,)."""


class FaceBackend(Protocol):
    """A detector and a landmark network. One instance belongs to one thread."""

    name: str
    landmark_schema: str
    """Name of one of `pipeline.faces.schemas.SCHEMAS`."""

    def detect(self, frame: Shown, looks: Looks | None = None) -> list[Detection]:
        """Find every face of the frame, best first, duplicates merged.

        Args:
            looks: what earlier frames of the same shot showed, to be brought up to date.
        """

    def landmarks(self, frame: Shown, previous: Region) -> FaceLandmarks:
        """Place the landmarks of the face in or near `previous`."""

    def anchors(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 3, 2): left brow centre, right brow centre, nose, from (..., L, 3)."""

    def guides(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 4, 2): the anchors, and a point that moves with the head alone."""

    def weights(self) -> Mapping[str, str]:
        """Return file name -> SHA-256 of the networks."""
