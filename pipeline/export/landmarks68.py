"""The 68 points of iBUG (300-W), taken from other landmark sets: a conversion, not a detection.

Each of the 68 points is the point of the source set that lies nearest by its meaning. The jaw line
of the mesh is the edge of the face in the picture plane and the tip of a brow is set by another
rule than iBUG's annotators had; so the sets differ by some per cent of the distance between the
eyes (docs/export.md has figures).

Shapes: T = frames, L = landmarks.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.export.errors import ExportError

IBUG68 = 68
NAME = "ibug68"

FROM_MESH468 = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),  # jaw
    *(70, 63, 105, 66, 107),
    *(336, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4),
    *(98, 97, 2, 326, 327),  # nose: bridge, base
    *(33, 160, 158, 133, 153, 144),
    *(362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lip
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lip
)
FROM_INSIGHTFACE106 = (
    *(1, 10, 12, 14, 16, 3, 5, 7, 0, 23, 21, 19, 32, 30, 28, 26, 17),
    *(43, 48, 49, 51, 50),
    *(102, 103, 104, 105, 101),
    *(72, 73, 74, 86),
    *(78, 79, 80, 85, 84),
    *(35, 41, 42, 39, 37, 36),
    *(89, 95, 96, 93, 91, 90),
    *(52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55),
    *(65, 66, 62, 70, 69, 57, 60, 54),
)
CONVERSIONS: Mapping[str, tuple[int, ...]] = {
    "mesh468": FROM_MESH468,
    "insightface106": FROM_INSIGHTFACE106,
}
"""Landmark schema of a clip -> which of its points is which of the 68, counted from 0."""


def conversion_name(schema: str) -> str:
    """Return how the conversion is named in the files that hold its result."""
    return f"{NAME} converted from {schema} by a fixed table of points"


def to_ibug68(landmarks_TLC: NDArray[np.float32], schema: str) -> NDArray[np.float64]:
    """Return (T, 68, 2) points in the coordinates of the source.

    Raises:
        ExportError: no table for the schema, or the array has not its points.
    """
    table = CONVERSIONS.get(schema)
    if table is None:
        known = ", ".join(sorted(CONVERSIONS))
        raise ExportError(f"landmark set {schema!r} has no table to 68 points; {known} have")
    if landmarks_TLC.ndim != 3 or landmarks_TLC.shape[1] <= max(table):
        raise ExportError(f"landmarks {landmarks_TLC.shape} are not {schema}")
    return landmarks_TLC[:, list(table), :2].astype(np.float64)


def in_crop(points_TLC: NDArray[np.float64], matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of the source film in pixels of the clip's pictures.

    Args:
        points_TLC: (T, L, 2), source px.
        matrices: (T, 2, 3), source px to crop px.
    """
    turned = np.einsum("tij,tlj->tli", matrices[:, :, :2], points_TLC)
    return np.asarray(turned + matrices[:, None, :, 2], np.float64)
