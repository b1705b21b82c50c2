"""The landmark numbering of the two models: which index is which point of the face.

"Left" and "right" are those of the image, never the person's.

Shapes: T = frames, L = landmarks; coordinates are x, y, z in pixels. The z of `mesh468` has the
scale of x, that of `insightface106` is 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError

Pair = tuple[int, int]
CONTOUR_POINTS = 20
"""Points of each lip contour of the mesh; contour positions run from 0 to this, cyclically."""


@dataclass(frozen=True, slots=True)
class LipContour:
    """The outer or inner edge of the lips, once around.

    From the left corner along the lower lip to the right corner and back along the upper lip, so
    that positions i and (10 - i) mod 20 mirror each other.
    """

    points: tuple[int, ...]
    positions: tuple[float, ...] = tuple(range(CONTOUR_POINTS))
    """Where each point lies on the mesh's contour of 20 points."""

    @property
    def lower_edge(self) -> tuple[int, ...]:
        """Left corner to right corner along the lower lip; a contour of 20 points only."""
        return self.points[: CONTOUR_POINTS // 2 + 1]

    @property
    def upper_edge(self) -> tuple[int, ...]:
        """Left corner to right corner along the upper lip; a contour of 20 points only."""
        return self.points[0], *self.points[: CONTOUR_POINTS // 2 - 1 : -1]


@dataclass(frozen=True, slots=True)
class HeadAxes:
    """Points that span the head's axes in space, in a schema with depth."""

    forehead: int
    chin: int
    ears: Pair
    """Left and right, where the cheeks meet the ears."""


@dataclass(frozen=True, slots=True)
class LandmarkSchema:
    """Named groups of the points of one landmark model."""

    name: str
    num_points: int
    left_eye_corners: Pair
    """Outer, inner."""
    right_eye_corners: Pair
    """Inner, outer."""
    left_eye: tuple[int, ...]
    """Points whose mean is the centre of the eye."""
    right_eye: tuple[int, ...]
    left_brow: tuple[int, ...]
    """This group, `right_brow` and `nose` have the means that the crop's template is fitted to."""
    right_brow: tuple[int, ...]
    nose: tuple[int, ...]
    steady: tuple[int, ...]
    """Points whose mean hardly moves when the mouth does, as the network places them."""
    nose_tip: int
    chin: int
    mouth_corners: Pair
    """Left, right."""
    lip_pairs: tuple[Pair, ...]
    """Pairs (upper, lower) on the inner edge of the lips; the first is in the middle."""
    outer_lip: LipContour
    inner_lip: LipContour
    rigid: tuple[int, ...]
    """Points that neither jaw nor lips nor lids move: nose bridge, nose tip, eye corners."""
    head_axes: HeadAxes | None = None
    """None where the model has no depth."""

    @property
    def outer_eye_corners(self) -> Pair:
        """Left, right."""
        return self.left_eye_corners[0], self.right_eye_corners[1]

    def template_anchors(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 3, 2): left brow centre, right brow centre, nose, from (..., L, 3)."""
        return _means(points, (self.left_brow, self.right_brow, self.nose))

    def crop_guides(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 4, 2): the template's anchors and the steady point, from (..., L, 3)."""
        return _means(points, (self.left_brow, self.right_brow, self.nose, self.steady))

    def checked(self, landmarks_TLC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the landmarks as float64 (T, L, 3).

        Raises:
            DecodeError: another shape than the schema's, no frame, or a number that is not finite.
        """
        shape = landmarks_TLC.shape
        if len(shape) != 3 or shape[0] == 0 or shape[1:] != (self.num_points, 3):
            raise DecodeError(f"landmarks have shape {shape}, {self.name} needs (T, L, 3)")
        if not np.isfinite(landmarks_TLC).all():
            raise DecodeError("landmarks hold a value that is not finite")
        return landmarks_TLC.astype(np.float64)


def _means(points: NDArray[Any], groups: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    chosen = (np.asarray(points)[..., list(group), :2] for group in groups)
    return np.stack([xy.astype(np.float64).mean(axis=-2) for xy in chosen], axis=-2)


MESH468 = LandmarkSchema(
    name="mesh468",
    num_points=468,
    left_eye_corners=(33, 133),
    right_eye_corners=(362, 263),
    left_eye=(33, 133, 159, 145),
    right_eye=(263, 362, 386, 374),
    left_brow=(63, 66, 107, 53, 52),
    right_brow=(293, 296, 336, 283, 282),
    nose=(5, 102, 331, 64, 294, 198, 420),
    steady=(168, 6),
    nose_tip=1,
    chin=152,
    mouth_corners=(61, 291),
    lip_pairs=((13, 14), (82, 87), (312, 317)),
    outer_lip=LipContour(
        (
            *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
            *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
        )
    ),
    inner_lip=LipContour(
        (
            *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324),
            *(308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
        )
    ),
    rigid=(168, 6, 197, 195, 5, 4, 33, 133, 362, 263),
    head_axes=HeadAxes(forehead=10, chin=152, ears=(234, 454)),
)
"""Face Mesh; numbering of MediaPipe's canonical face model.

Brows and nose are the symmetric groups whose means lie nearest to those of LatentSync's groups of
the 106 points: 2.6 % of the distance between the eyes on average over 90 frames of 12 frontal
clips.
"""


MESH_UPPER_LIP_ROWS = (
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
)
MESH_LOWER_LIP_ROWS = (
    (77, 90, 180, 85, 16, 315, 404, 320, 307),
    (96, 89, 179, 86, 15, 316, 403, 319, 325),
)
"""Rows of points from the outer to the inner edge of the lips."""
MESH_UPPER_LIDS = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (263, 466, 388, 387, 386, 385, 384, 398, 362),
)
MESH_LOWER_LIDS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
    (263, 249, 390, 373, 374, 380, 381, 382, 362),
)
"""Outer to inner corner of the left eye, then of the right one."""
MESH_FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Edge of the face, once around from the forehead."""
MESH_SKULL = (
    *MESH_FACE_OVAL[:8], *MESH_FACE_OVAL[29:],
    1, 2, 4, 5, 6, 98, 327, 168, 9, 8, 70, 63, 105, 66, 107, 336, 296, 334,
    293, 300, 117, 346, 195, 197, 94, 129, 358,
)  # fmt: skip
"""Points that move with the head alone."""

INSIGHTFACE106 = LandmarkSchema(
    name="insightface106",
    num_points=106,
    left_eye_corners=(35, 39),
    right_eye_corners=(89, 93),
    left_eye=tuple(range(33, 43)),
    right_eye=tuple(range(87, 97)),
    left_brow=(43, 48, 49, 50, 51),
    right_brow=(101, 102, 103, 104, 105),
    nose=(74, 77, 83, 86),
    steady=(39, 72, 89),
    nose_tip=86,
    chin=0,
    mouth_corners=(52, 61),
    lip_pairs=((62, 60), (66, 54), (70, 57)),
    outer_lip=LipContour(
        points=(52, 55, 56, 53, 59, 58, 61, 68, 67, 71, 63, 64),
        positions=(0, 1.8, 3.4, 5, 6.6, 8.2, 10, 12.6, 14, 15, 16, 17.4),
    ),
    inner_lip=LipContour(
        points=(65, 54, 60, 57, 69, 70, 62, 66),
        positions=(0, 2.6, 5, 7.4, 10, 12.6, 15, 17.4),
    ),
    rigid=(72, 73, 74, 86, 80, 35, 39, 89, 93),
)
"""InsightFace's 2d106det; numbering read off the model's output on an upright frontal face.

Brows and nose are LatentSync's groups. The contour positions are fitted by eye on two clips for
which both backends gave landmarks; they are off by 1 to 3 % of the face's height.
"""

SCHEMAS: Mapping[str, LandmarkSchema] = {
    schema.name: schema for schema in (MESH468, INSIGHTFACE106)
}


def schema_named(name: str) -> LandmarkSchema:
    """Return the schema of a Clip's `landmark_schema`.

    Raises:
        ValueError: no such schema: the stages that write and read clips disagree, a bug.
    """
    if name not in SCHEMAS:
        raise ValueError(f"landmark schema {name!r} is unknown; known: {sorted(SCHEMAS)}")
    return SCHEMAS[name]
