"""A talking portrait: lips, jaw, lids and head deformed, the inside of the mouth rendered.

Everything is a function of time in seconds, so any frame rate shows the same movement. Lengths are
in units of the portrait's distance from eyes to chin; sizes follow what the Face Mesh measures on
real speakers (gap between the inner lips 0.01 to 0.17, mouth width 0.38 to 0.50).

Shape suffixes: V vertices, K driven vertices, P points, C coordinates (x, y, z).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo import mesh as meshes
from pipeline.demo.articulation import Articulation
from pipeline.demo.mesh import Mesh, Mouth
from pipeline.demo.motion import Motion, Pose, rotation
from pipeline.demo.portrait import CHIN, Portrait
from pipeline.faces.backend import Frame
from pipeline.faces.box import Box
from pipeline.faces.boxes import box_of
from pipeline.faces.schemas import MESH468, MESH_FACE_OVAL, MESH_LOWER_LIDS, MESH_UPPER_LIDS

UPPER_LIP, LOWER_LIP = MESH468.lip_pairs[0]
GAP = 0.22
"""Opening of gap 1."""
REST_WIDTH = 0.43
SPREAD, ROUNDED = 0.18, 0.24
"""Shares of the mouth's width by which it grows at width 1 and shrinks at -1."""
UPPER_SHARE = 0.28
"""Share of the opening that the upper lip makes; the jaw makes the rest."""
TEETH_BELOW_LINE = 0.024
_DARK, _TONGUE = (46, 16, 18), (140, 66, 66)
_UPPER_TEETH, _LOWER_TEETH = (222, 212, 196), (176, 164, 150)
_FINER = 3
"""The mouth is painted this many times finer and shrunk: smooth edges."""


class RenderedFrame(NamedTuple):
    """One frame and where its face is."""

    image: Frame
    box: Box
    """Extent of the 468 landmarks."""
    lip_gap: float
    """Distance between the inner lips over that from eyes to chin, both as at rest."""


@dataclass(frozen=True)
class TalkingPortrait:
    """A portrait with a mesh, a mouth and a head that move."""

    portrait: Portrait
    articulation: Articulation
    motion: Motion

    @cached_property
    def mesh(self) -> Mesh:
        """The mesh over the portrait."""
        return meshes.build_mesh(self.portrait)

    def render(self, time_s: float) -> RenderedFrame:
        """Paint the frame at a time."""
        lips = self.articulation.at(time_s)
        pose = self.motion.pose(time_s)
        shaped, teeth = self._shaped(lips, self.motion.lids(time_s))
        moved = self._posed(shaped, self.mesh.head_share, pose)
        teeth = self._posed(teeth, np.ones(len(teeth)), pose)
        image = meshes.draw(self.portrait.image, self.mesh, moved)
        _paint_mouth(image, moved[list(meshes.INNER), :2], teeth[:, :2], self.portrait.scale_px)
        gap = np.linalg.norm(shaped[UPPER_LIP] - shaped[LOWER_LIP]) / self.portrait.scale_px
        return RenderedFrame(image, box_of(moved[:468]), float(gap))

    def landmarks(self, time_s: float) -> NDArray[np.float64]:
        """Return the landmarks at a time, (468, 3), without painting."""
        shaped, _ = self._shaped(self.articulation.at(time_s), self.motion.lids(time_s))
        return self._posed(shaped, self.mesh.head_share, self.motion.pose(time_s))[:468]

    def _shaped(
        self, lips: NDArray[np.float64], lids: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return vertices with the face deformed, head at rest, and the edges of the teeth."""
        rest = self.mesh.rest
        target = _lip_points(rest, lips, self.portrait.scale_px)
        column = {vertex: k for k, vertex in enumerate(self.mesh.driven)}
        moves = np.zeros((len(column), 3))
        for vertex, point in target.items():
            moves[column[vertex]] = point - rest[vertex]
        for upper, lower in zip(MESH_UPPER_LIDS, MESH_LOWER_LIDS, strict=True):
            gap = rest[list(lower)] - rest[list(upper)]
            for k, vertex in enumerate(upper[1:-1], start=1):
                moves[column[vertex]] = 0.9 * lids * gap[k]
        return rest + self.mesh.follow @ moves, _teeth(rest, lips, self.portrait.scale_px)

    def _posed(
        self, points: NDArray[np.float64], share: NDArray[np.float64], pose: Pose
    ) -> NDArray[np.float64]:
        face = self.mesh.rest[list(MESH_FACE_OVAL)]
        pivot = face.mean(axis=0)
        shift = np.array([pose.x, pose.y, 0.0]) * self.portrait.scale_px
        there = (points - pivot) @ rotation(pose).T * pose.scale + pivot + shift
        return np.asarray(points + share[:, None] * (there - points))


class _Axes(NamedTuple):
    """The mouth's own frame: origin between its corners, x along them, y to the chin."""

    origin: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def local(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (P, 2) along x and y."""
        away = points - self.origin
        return np.column_stack([away @ self.x, away @ self.y])

    def moved(self, points: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points moved to local coordinates `to`, depth kept."""
        change = to - self.local(points)
        return np.asarray(points + change[:, :1] * self.x + change[:, 1:] * self.y)


def _axes(rest: NDArray[np.float64]) -> _Axes:
    left, right = rest[list(MESH468.mouth_corners)]
    along = (right - left) * [1.0, 1.0, 0.0]
    along /= np.linalg.norm(along)
    return _Axes((left + right) / 2, along, np.array([-along[1], along[0], 0.0]))


def _widened(
    x: NDArray[np.float64], rest: NDArray[np.float64], width: float, unit: float
) -> NDArray[np.float64]:
    """Return x of lip points for a width, from any smile on the portrait to a mouth at rest."""
    left, right = rest[list(MESH468.mouth_corners)]
    now = float(np.linalg.norm((left - right)[:2])) / unit
    neutral = np.clip(REST_WIDTH / now, 0.75, 1.1)
    return np.asarray(x * neutral * (1.0 + (SPREAD if width > 0 else ROUNDED) * width))


def _arch(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how open the mouth is along its width: 1 in the middle, 0 at the corners."""
    return np.asarray(np.clip(1.0 - (x / np.abs(x).max()) ** 2, 0.0, 1.0) ** 0.75)


def _lip_points(
    rest: NDArray[np.float64], lips: NDArray[np.float64], unit: float
) -> dict[int, NDArray[np.float64]]:
    """Return where lip and jaw vertices go."""
    gap, width, press, tuck = lips
    axes = _axes(rest)
    upper, lower, upper_skin, lower_skin = (
        axes.local(rest[list(group)])
        for group in (
            meshes.UPPER_INNER, meshes.LOWER_INNER, meshes.UPPER_OUTER, meshes.LOWER_OUTER
        )
    )  # fmt: skip
    line = _line(upper, lower)
    arch = _arch(upper[:, 0])
    up = line - arch * unit * (UPPER_SHARE * GAP * gap + 0.012 * tuck)
    down = line + arch * unit * ((1 - UPPER_SHARE) * GAP * gap - 0.012 * tuck)
    thick = (1.0 - 0.35 * press) * (1.0 - 0.12 * min(width, 0.0))
    to = {
        meshes.UPPER_INNER: (upper, up),
        meshes.LOWER_INNER: (lower, down),
        meshes.UPPER_OUTER: (upper_skin, up + (upper_skin - upper)[:, 1] * thick),
        meshes.LOWER_OUTER: (
            lower_skin, down + (lower_skin - lower)[:, 1] * thick * (1.0 - 0.35 * tuck)
        ),
    }  # fmt: skip
    points = _jaw(
        rest, axes, unit * (1 - UPPER_SHARE) * GAP * gap, float((line - lower[:, 1]).min())
    )
    for group, (here, y) in to.items():
        there = np.column_stack([_widened(here[:, 0], rest, width, unit), y])
        points |= dict(zip(group, axes.moved(rest[list(group)], there), strict=True))
    return points


def _line(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return y of the closed mouth: where the lips meet, nearer to the upper one."""
    return np.asarray(0.6 * upper[:, 1] + 0.4 * lower[:, 1])


def _jaw(
    rest: NDArray[np.float64], axes: _Axes, opening_px: float, closing_px: float
) -> dict[int, NDArray[np.float64]]:
    """Return where the jaw's outline goes: the chin follows the lower lip, the cheeks stay."""
    jaw = list(Mouth().jaw)
    here = axes.local(rest[jaw])
    chin = axes.local(rest[[CHIN]])[0, 1]
    share = np.clip(here[:, 1] / chin, 0.0, 1.0)
    there = here + np.column_stack([0 * share, share * (0.75 * opening_px + 0.4 * closing_px)])
    return dict(zip(jaw, axes.moved(rest[jaw], there), strict=True))


def _teeth(
    rest: NDArray[np.float64], lips: NDArray[np.float64], unit: float
) -> NDArray[np.float64]:
    """Return (22, 3): lower edge of the upper teeth, upper edge of the lower ones."""
    axes = _axes(rest)
    upper, lower = (rest[list(g)] for g in (meshes.UPPER_INNER, meshes.LOWER_INNER))
    here = axes.local(upper)
    line, arch = _line(here, axes.local(lower)), _arch(here[:, 0])
    x = here[:, 0] * 0.92
    above = np.column_stack([x, line + unit * TEETH_BELOW_LINE * arch])
    drop = (1 - UPPER_SHARE) * GAP * lips[0]
    below = np.column_stack([x, line + unit * (drop * 0.86 * arch + 0.008)])
    return np.concatenate([axes.moved(upper, above), axes.moved(upper, below)])


def _paint_mouth(
    image: Frame, ring: NDArray[np.float64], teeth: NDArray[np.float64], unit: float
) -> None:
    """Paint what shows between the inner lips, in place."""
    margin = 3
    low = np.maximum(np.floor(ring.min(axis=0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(ring.max(axis=0)).astype(int) + margin, image.shape[1::-1])
    if (high <= low).any():
        return
    w, h = (high - low).tolist()
    inside, cover = _mouth(ring - low, teeth - low, (w, h), unit)
    part = image[low[1] : high[1], low[0] : high[0]]
    part[:] = np.round(part * (1 - cover) + inside * cover).astype(np.uint8)


def _mouth(
    ring: NDArray[np.float64], teeth: NDArray[np.float64], size: tuple[int, int], unit: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return colours (h, w, 3) and coverage (h, w, 1) of the open mouth."""
    canvas = np.empty((size[1] * _FINER, size[0] * _FINER, 3), np.uint8)
    canvas[:] = _DARK
    middle = teeth[11:].mean(axis=0) + np.array([0.0, 0.05 * unit])
    axes = (int(0.13 * unit * _FINER), int(0.05 * unit * _FINER))
    cv2.ellipse(canvas, _fine(middle[None])[0].tolist(), axes, 0, 0, 360, _TONGUE, -1, cv2.LINE_AA)
    upper = np.concatenate([teeth[:11], teeth[10::-1] - np.array([0.0, 0.2 * unit])])
    lower = np.concatenate([teeth[11:], teeth[:10:-1] + np.array([0.0, 0.12 * unit])])
    cv2.fillPoly(canvas, [_fine(lower)], _LOWER_TEETH, cv2.LINE_AA)
    cv2.fillPoly(canvas, [_fine(upper)], _UPPER_TEETH, cv2.LINE_AA)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillPoly(mask, [_fine(ring)], 255, cv2.LINE_AA)
    depth = cv2.GaussianBlur(mask, (0, 0), max(0.02 * unit * _FINER, 0.5))
    shaded = canvas * (0.35 + 0.65 * depth[..., None].astype(np.float32) / 255.0)
    inside = cv2.resize(shaded, size, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), (0, 0), 0.6)
    return np.asarray(inside, np.float32), soft[..., None].astype(np.float32) / 255.0


def _fine(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points * _FINER).astype(np.int32)
