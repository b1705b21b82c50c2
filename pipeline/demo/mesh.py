"""The mesh over a portrait: which vertices drive which, and rendering of a deformed mesh.

Vertices: 468 landmarks, rings of points round the head (hair, hat, neck) that follow it less and
less, the picture's border, which never moves, and the outline of the skin that the mouth may move
(`moving_skin.py`). The face deforms by a Laplacian: lips, jaw, eyes are driven where to go, what
lies outside of the outline stays, every other vertex takes the mean of its neighbours.

Shape suffixes: V vertices, L landmarks, K driven vertices, T triangles, C coordinates.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from pipeline.demo import moving_skin
from pipeline.demo.portrait import Portrait
from pipeline.faces.backend import Frame
from pipeline.faces.schemas import (
    MESH468,
    MESH_FACE_OVAL,
    MESH_LOWER_LIDS,
    MESH_LOWER_LIP_ROWS,
    MESH_SKULL,
    MESH_UPPER_LIDS,
    MESH_UPPER_LIP_ROWS,
)

UPPER_OUTER, LOWER_OUTER = MESH468.outer_lip.upper_edge, MESH468.outer_lip.lower_edge
UPPER_INNER, LOWER_INNER = MESH468.inner_lip.upper_edge, MESH468.inner_lip.lower_edge
INNER = UPPER_INNER + LOWER_INNER[-2:0:-1]
CHEEK_TO_CHEEK = MESH_FACE_OVAL[9:28]
"""The lower half of the oval, along the jaw."""
_BETWEEN = 2
"""Points put between two of those, or the jaw's edge would be jagged."""
JAW_BETWEEN = tuple(range(468, 468 + _BETWEEN * (len(CHEEK_TO_CHEEK) - 1)))
RINGS = ((1.42, 1.0), (1.65, 0.85), (2.2, 0.4))
"""Rings round the oval: radius as a multiple of its own, share of the head's movement."""
_BORDER_STEPS = 7
_SHIFT = 4
"""Fractional bits of OpenCV's polygon coordinates."""
_THIN_PX2 = 0.2
"""Twice the area under which a triangle has collapsed and is not painted."""


class Mouth(NamedTuple):
    """Vertices driven by the mouth, in the order of the columns of `Mesh.follow`."""

    upper_inner: tuple[int, ...] = UPPER_INNER
    lower_inner: tuple[int, ...] = LOWER_INNER[1:-1]
    upper_outer: tuple[int, ...] = UPPER_OUTER
    lower_outer: tuple[int, ...] = LOWER_OUTER[1:-1]
    jaw: tuple[int, ...] = CHEEK_TO_CHEEK + JAW_BETWEEN


@dataclass(frozen=True, slots=True)
class Mesh:
    """Vertices at rest, triangles, and how far each vertex follows."""

    rest: NDArray[np.float64]
    """(V, 3), pixels of the portrait."""
    triangles: NDArray[np.intp]
    """(T, 3), what is farther first."""
    head_share: NDArray[np.float64]
    """(V,): 0 = the border of the picture, 1 = the head."""
    driven: tuple[int, ...]
    """Vertices with a movement of their own."""
    follow: NDArray[np.float64]
    """(V, K): movement of every vertex as a weighted mean of the driven ones."""


def build_mesh(portrait: Portrait) -> Mesh:
    """Lay the mesh over a portrait."""
    points, shares = _vertices(portrait)
    driven = _driven_vertices()
    _even_lips(points)
    triangles = _triangles(_opened(points, portrait), points)
    still = moving_skin.is_still(points[:, :2], portrait.points) | (shares < 1.0)
    follow = _follow(triangles, driven, still)
    return Mesh(points, triangles, shares, driven, follow)


def _even_lips(points: NDArray[np.float64]) -> None:
    """Space the rows inside the lips evenly: on a smile some lie on the teeth."""
    lower_outer, lower_inner = LOWER_OUTER[1:-1], LOWER_INNER[1:-1]
    for share, upper, lower in zip(
        (1 / 3, 2 / 3), MESH_UPPER_LIP_ROWS, MESH_LOWER_LIP_ROWS, strict=True
    ):
        for row, outer, inner in (
            (upper, UPPER_OUTER, UPPER_INNER),
            (lower, lower_outer, lower_inner),
        ):
            edge = points[list(outer)]
            points[list(row)] = edge + share * (points[list(inner)] - edge)


def _opened(points: NDArray[np.float64], portrait: Portrait) -> NDArray[np.float64]:
    """Drop the skin that lies below the line of the mouth, most in its middle: order is kept."""
    upper, lower = points[list(UPPER_INNER)], points[list(LOWER_INNER)]
    line = (upper + lower) / 2
    line = line[np.argsort(line[:, 0])]
    slope = (line[-1, 1] - line[0, 1]) / (line[-1, 0] - line[0, 0])
    middle, half = line[[0, -1], 0].mean(), 0.8 * np.ptp(line[:, 0])
    x = points[:, 0]
    on_line = np.interp(x, line[:, 0], line[:, 1])
    on_line += slope * (x - np.clip(x, line[0, 0], line[-1, 0]))
    below = points[:, 1] > on_line
    below[list(UPPER_INNER)] = False
    below[list(LOWER_INNER[1:-1])] = True
    opened = points.copy()
    drop = 0.25 * portrait.scale_px * np.clip(1.0 - ((x - middle) / half) ** 2, 0.0, 1.0)
    drop *= _above_outline(points, on_line, moving_skin.outline(portrait.points))
    opened[below, 1] += drop[below]
    return opened


def _above_outline(
    points: NDArray[np.float64], on_line: NDArray[np.float64], outline: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (V,): 1 on the line of the mouth, falling to 0 at the lower side of the outline."""
    under = outline[outline[:, 1] > outline[:, 1].mean()]
    under = under[np.argsort(under[:, 0])]
    bottom = np.interp(points[:, 0], under[:, 0], under[:, 1])
    return np.asarray(
        np.clip((bottom - points[:, 1]) / np.maximum(bottom - on_line, 1.0), 0.0, 1.0)
    )


def _driven_vertices() -> tuple[int, ...]:
    lids = [i for lid in (*MESH_UPPER_LIDS, *MESH_LOWER_LIDS) for i in lid]
    named = [i for group in Mouth() for i in group]
    return (*named, *dict.fromkeys(i for i in (*lids, *MESH_SKULL) if i not in named))


def _vertices(portrait: Portrait) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return vertices (V, 3) and their share of the head's movement."""
    face = portrait.points
    oval = face[list(MESH_FACE_OVAL)]
    middle = oval.mean(axis=0) * [1.0, 1.0, 0.0] + [0.0, 0.0, oval[:, 2].mean()]
    head = np.concatenate([face, _between(face[list(CHEEK_TO_CHEEK)])])
    groups, shares = [head], [np.ones(len(head))]
    for radius, share in RINGS:
        groups.append(middle + (oval - middle) * [radius, radius, 1.0])
        shares.append(np.full(len(oval), share))
    height, width = portrait.image.shape[:2]
    groups.append(_with_depth(moving_skin.outline(face), np.concatenate(groups)))
    shares.append(np.ones(len(groups[-1])))
    groups.append(_border(width, height))
    shares.append(np.zeros(len(groups[-1])))
    points, follows = np.concatenate(groups), np.concatenate(shares)
    inside = _inside(points, width, height) | (follows == 0)
    inside[: len(head)] = True
    return points[inside], follows[inside]


def _between(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `_BETWEEN` points between every two neighbours of a line (P, 3)."""
    shares = np.arange(1, _BETWEEN + 1)[None, :, None] / (_BETWEEN + 1)
    return (line[:-1, None] * (1 - shares) + line[1:, None] * shares).reshape(-1, 3)


def _with_depth(flat: NDArray[np.float64], around: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (P, 2) with the depth of the points (V, 3) around them."""
    depth = LinearNDInterpolator(around[:, :2], around[:, 2])(flat)
    return np.column_stack([flat, depth])


def _inside(points: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    x, y = points[:, 0], points[:, 1]
    return np.asarray((x > 4) & (y > 4) & (x < width - 4) & (y < height - 4))


def _border(width: int, height: int) -> NDArray[np.float64]:
    x = np.linspace(-2.0, width + 1.0, _BORDER_STEPS)
    y = np.linspace(-2.0, height + 1.0, _BORDER_STEPS)
    top, left = np.column_stack([x, x * 0 + y[0]]), np.column_stack([y * 0 + x[0], y])[1:-1]
    edges = [top, top + np.array([0.0, y[-1] - y[0]]), left, left + np.array([x[-1] - x[0], 0.0])]
    flat = np.concatenate(edges)
    return np.column_stack([flat, np.zeros(len(flat))])


def _triangles(opened: NDArray[np.float64], rest: NDArray[np.float64]) -> NDArray[np.intp]:
    """Triangulate with the mouth open, leave the mouth out; what is farther comes first."""
    triangles = Delaunay(opened[:, :2]).simplices
    triangles = triangles[~np.isin(triangles, INNER).all(axis=1)]
    depth = rest[triangles, 2].mean(axis=1)
    return np.asarray(triangles[np.argsort(-depth, kind="stable")], np.intp)


def _follow(
    triangles: NDArray[np.intp], driven: tuple[int, ...], still: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return (V, K): every free vertex is the mean of its neighbours, the driven ones are given.

    Driven vertices that must be still, the upper ends of the jaw, are.
    """
    count = len(still)
    linked = np.zeros((count, count))
    for one, two in ((0, 1), (1, 2), (2, 0)):
        linked[triangles[:, one], triangles[:, two]] = 1.0
        linked[triangles[:, two], triangles[:, one]] = 1.0
    laplacian = np.diag(linked.sum(axis=1)) - linked
    fixed = np.array([*driven, *np.setdiff1d(np.flatnonzero(still), driven)])
    free = np.setdiff1d(np.arange(count), fixed)
    answer = np.linalg.solve(laplacian[np.ix_(free, free)], -laplacian[np.ix_(free, fixed)])
    follow = np.zeros((count, len(driven)))
    follow[list(driven), np.arange(len(driven))] = 1.0
    follow[still] = 0.0
    # rounded: a threaded solver may differ in the last digits
    follow[free] = np.round(answer[:, : len(driven)], 9)
    return follow


def draw(image: Frame, mesh: Mesh, moved_VC: NDArray[np.float64]) -> Frame:
    """Paint the portrait with its vertices moved; the mouth is left for `teeth`."""
    ids = _triangle_ids(image.shape[:2], mesh.triangles, moved_VC)
    xx, xy, x0, yx, yy, y0 = (np.take(one, ids) for one in _inverse_maps(mesh, moved_VC).T.copy())
    height, width = ids.shape
    x = np.arange(width, dtype=np.float32)[None]
    y = np.arange(height, dtype=np.float32)[:, None]
    map_x = xx * x + xy * y + x0
    map_y = yx * x + yy * y + y0
    return np.asarray(
        cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def _triangle_ids(
    size: tuple[int, int], triangles: NDArray[np.intp], moved: NDArray[np.float64]
) -> NDArray[np.int32]:
    ids = np.full(size, -1, np.int32)
    there = moved[triangles, :2]
    corners = np.round(there * (1 << _SHIFT)).astype(np.int32)
    for index in np.flatnonzero(np.abs(_areas(there)) > _THIN_PX2).tolist():
        cv2.fillConvexPoly(ids, corners[index], index, cv2.LINE_8, _SHIFT)
    near = cv2.dilate(ids.astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int32)
    return np.maximum(np.where(ids < 0, near, ids), 0)


def _areas(corners_T3C: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return twice the signed area of every triangle."""
    return np.asarray(np.linalg.det(corners_T3C[:, 1:] - corners_T3C[:, :1]))


def _inverse_maps(mesh: Mesh, moved: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (T, 6): for every triangle the affine map from the moved place to the rest."""
    there = moved[mesh.triangles, :2].copy()
    edges = there[:, 1:] - there[:, :1]
    edges[np.abs(_areas(there)) <= _THIN_PX2] = np.eye(2)
    here = mesh.rest[mesh.triangles, :2]
    linear = np.linalg.solve(edges, here[:, 1:] - here[:, :1])
    shift = here[:, 0] - np.einsum("tc,tcd->td", there[:, 0], linear)
    columns = [linear[:, 0, 0], linear[:, 1, 0], shift[:, 0]]
    columns += [linear[:, 0, 1], linear[:, 1, 1], shift[:, 1]]
    return np.column_stack(columns).astype(np.float32)
