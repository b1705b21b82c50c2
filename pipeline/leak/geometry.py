"""What could betray a mouth without a look at it: where the crop is, where the eyes are in it.

All series are high-passed: less their mean under a Gaussian of HIGH_PASS_SIGMA frames (of a wave of
0.94 Hz half is left, of one of 2 Hz nearly all), so that the slow movement of the head, which the
mouth does not share, is no ballast, and a smile is no leak.

Shape suffixes: T frames, L landmarks, C coordinates, G numbers of geometry, P points.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.faces import smoothing
from pipeline.faces.schemas import LandmarkSchema

Doubles = NDArray[np.float64]

HIGH_PASS_SIGMA = 5.0
CONTEXT = 2
"""Frames to either side that a reader sees beside each one."""
PROBES = np.array([[0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75]])
"""Shares of the crop's side. Where these places of the first crop lie says all of a matrix."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedClip:
    """A clip's landmarks and crops."""

    source: str
    """The film; what is learnt from it is never tested on it."""
    schema: LandmarkSchema
    points: Doubles
    """(T, L, 3) in pixels of the source."""
    matrices: Doubles
    """(T, 2, 3): source pixel -> pixel of the crop."""
    crop_px: int


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """High-passed series of one clip."""

    source: str
    crop: Doubles
    """(T, 8 * 5): four places of the picture in the crop, in its pixels, with their neighbours."""
    eyes: Doubles
    """(T, 8 * 5): the corners of the eyes in the crop, likewise."""
    still_eyes: Doubles
    """(T, 8 * 5): the same in a crop that stands still: what the landmarks of the eyes tell."""
    opening: Doubles
    """(T,) of the mouth, in distances of the eyes' outer corners."""


def series_of(clip: PlacedClip) -> Series:
    """Return the series of a clip."""
    mean = clip.matrices.mean(axis=0)
    corners = [*clip.schema.left_eye_corners, *clip.schema.right_eye_corners]
    eyes_TPC, probes_PC = clip.points[:, corners, :2], _to_source(mean, PROBES * clip.crop_px)
    frames = len(clip.matrices)
    crop_TPC = _placed(clip.matrices, np.broadcast_to(probes_PC, (frames, *probes_PC.shape)))
    still = np.broadcast_to(mean, clip.matrices.shape)
    return Series(
        clip.source,
        _with_neighbours(crop_TPC),
        _with_neighbours(_placed(clip.matrices, eyes_TPC)),
        _with_neighbours(_placed(still, eyes_TPC)),
        high_passed(mouth_opening(clip.schema, clip.points)),
    )


def mouth_opening(schema: LandmarkSchema, points_TLC: NDArray[Any]) -> Doubles:
    """Return (T,): mean height of the inner lips over the distance of the eyes' outer corners."""
    heights = [_apart(points_TLC, upper, lower) for upper, lower in schema.lip_pairs]
    width_T = np.maximum(_apart(points_TLC, *schema.outer_eye_corners), 1e-6)
    return np.asarray(np.mean(heights, axis=0) / width_T)


def high_passed(values: NDArray[Any]) -> Doubles:
    """Return values (T, ...) less their local mean."""
    return np.asarray(values - smoothing.smooth(values, HIGH_PASS_SIGMA))


def _with_neighbours(places_TPC: Doubles) -> Doubles:
    """Return (T, P * C * 5); at the ends the last frame stands for those behind it."""
    fast_TG = high_passed(places_TPC.reshape(len(places_TPC), -1))
    last = len(fast_TG) - 1
    at_T = np.arange(len(fast_TG))
    shifts = range(-CONTEXT, CONTEXT + 1)
    return np.concatenate([fast_TG[np.clip(at_T + by, 0, last)] for by in shifts], axis=1)


def _placed(matrices_T23: Doubles, points_TPC: Doubles) -> Doubles:
    turned = np.einsum("tij,tpj->tpi", matrices_T23[:, :, :2], points_TPC)
    return np.asarray(turned + matrices_T23[:, None, :, 2])


def _to_source(matrix: Doubles, points_PC: Doubles) -> Doubles:
    return np.asarray(np.linalg.solve(matrix[:, :2], (points_PC - matrix[:, 2]).T).T)


def _apart(points_TLC: NDArray[Any], one: int, other: int) -> Doubles:
    apart = np.asarray(points_TLC[:, one, :2] - points_TLC[:, other, :2], np.float64)
    return np.asarray(np.linalg.norm(apart, axis=1))
