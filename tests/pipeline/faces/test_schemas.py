"""The groups of both landmark schemas, and that no other module numbers landmarks."""

import ast
import json
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.faces.schemas import (
    INSIGHTFACE106,
    MESH468,
    MESH_LOWER_LIDS,
    MESH_UPPER_LIDS,
    SCHEMAS,
    HeadAxes,
    LandmarkSchema,
    LipContour,
    schema_named,
)
from tests.conftest import ROOT
from tests.source_tree import modules

BOTH = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: schema.name)


def groups(schema: LandmarkSchema) -> dict[str, list[int]]:
    """Return the indices of every group, by the name of its field."""
    values = {field.name: getattr(schema, field.name) for field in fields(schema)}
    found = {}
    for name, value in values.items():
        if isinstance(value, LipContour):
            found[name] = list(value.points)
        elif isinstance(value, HeadAxes):
            found[name] = [value.forehead, value.chin, *value.ears]
        elif name not in ("name", "num_points") and value is not None:
            found[name] = np.ravel(value).tolist()
    return found


@BOTH
def test_every_group_lies_inside_the_schema_and_names_no_point_twice(
    schema: LandmarkSchema,
) -> None:
    for name, points in groups(schema).items():
        assert points, name
        assert len(set(points)) == len(points), name
        assert all(0 <= point < schema.num_points for point in points), name


@BOTH
def test_left_and_right_groups_share_no_point_and_have_equal_size(schema: LandmarkSchema) -> None:
    for left, right in [("left_eye", "right_eye"), ("left_brow", "right_brow")]:
        one, two = groups(schema)[left], groups(schema)[right]
        assert not set(one) & set(two)
        assert len(one) == len(two)


@BOTH
def test_contour_positions_rise_once_around_and_mirror_each_other(schema: LandmarkSchema) -> None:
    for contour in (schema.outer_lip, schema.inner_lip):
        positions = np.array(contour.positions)
        assert len(positions) == len(contour.points)
        assert (np.diff(positions) > 0).all()
        assert (positions[0], positions[-1] < 20) == (0, True)
        assert np.sort((10 - positions) % 20) == pytest.approx(positions)


@BOTH
def test_lip_pairs_and_mouth_corners_are_points_of_the_contours(schema: LandmarkSchema) -> None:
    outer, inner = schema.outer_lip, schema.inner_lip
    at = dict(zip(inner.points, inner.positions, strict=True))
    for upper, lower in schema.lip_pairs:
        assert at[upper] > 10 > at[lower] == pytest.approx(20 - at[upper])
    corners = [outer.points[outer.positions.index(position)] for position in (0, 10)]
    assert corners == list(schema.mouth_corners)


@pytest.fixture(params=["astronaut", "hopper"])
def face(request: pytest.FixtureRequest) -> NDArray[np.float64]:
    """A real mesh, turned upright and moved so that the eyes lie at (-0.5, 0) and (0.5, 0)."""
    stored = json.loads((ROOT / "pipeline/demo/landmarks.json").read_text())
    points = np.array(stored[request.param]["points"])[:, :2]
    left, right = (points[list(eye)].mean(axis=0) for eye in (MESH468.left_eye, MESH468.right_eye))
    x, y = right - left
    turn = np.array([[x, -y], [y, x]]) / (x * x + y * y)
    return (points - (left + right) / 2) @ turn


def test_left_and_right_of_the_mesh_are_mirror_images(face: NDArray[np.float64]) -> None:
    mirror, schema = np.array([-1.0, 1.0]), MESH468
    sides = [
        (schema.left_eye_corners, schema.right_eye_corners[::-1]),
        (schema.left_eye, schema.right_eye),
        (schema.left_brow, schema.right_brow),
        (schema.mouth_corners[:1], schema.mouth_corners[1:]),
    ]
    middle = face[[schema.nose_tip, schema.chin], 0].mean()
    for left, right in sides:
        assert face[list(left), 0].max() < middle < face[list(right), 0].min()
        gap = face[list(left)] * mirror - face[list(right)]
        assert np.abs(gap).max() < 0.4, (
            left,
            right,
        )  # eye distances: the heads are a little turned
        assert np.abs(gap - gap.mean(axis=0)).max() < 0.15, (left, right)


def test_the_lip_contours_go_round_by_the_lower_lip(face: NDArray[np.float64]) -> None:
    for contour in (MESH468.outer_lip, MESH468.inner_lip):
        lips = face[list(contour.points)]
        mirrored = lips[(10 - np.arange(20)) % 20] * [-1.0, 1.0]
        gap = lips - mirrored
        assert np.abs(gap - gap.mean(axis=0)).max() < 0.15
        assert (np.diff(lips[:11, 0]) > 0).all()
        assert (np.diff(lips[10:, 0]) < 0).all()
        assert lips[1:10, 1].mean() > lips[11:, 1].mean()


def test_the_points_of_the_face_stand_below_one_another(face: NDArray[np.float64]) -> None:
    schema = MESH468
    assert schema.head_axes is not None
    lip = schema.lip_pairs[0]
    order = [schema.head_axes.forehead, schema.nose_tip, lip[0], lip[1], schema.chin]
    heights = face[order, 1]
    assert (np.diff(heights) > 0).all()
    brows, _ = schema.template_anchors(face)[[0, 2], 1]
    assert brows < 0 < heights[1]


def test_anchors_are_the_means_of_their_groups_whatever_comes_before() -> None:
    points = np.random.default_rng(0).normal(size=(4, 106, 3))
    anchors = INSIGHTFACE106.template_anchors(points)
    assert anchors.shape == (4, 3, 2)
    assert anchors[2, 0] == pytest.approx(
        points[2, list(INSIGHTFACE106.left_brow), :2].mean(axis=0)
    )
    assert np.array_equal(INSIGHTFACE106.template_anchors(points[2]), anchors[2])


def test_landmarks_of_another_shape_or_with_a_hole_are_refused() -> None:
    with pytest.raises(DecodeError, match=r"\(T, L, 3\)"):
        MESH468.checked(np.zeros((5, 106, 3), np.float32))
    with pytest.raises(DecodeError, match=r"\(T, L, 3\)"):
        MESH468.checked(np.zeros((0, 468, 3), np.float32))
    with pytest.raises(DecodeError, match="not finite"):
        MESH468.checked(np.full((5, 468, 3), np.nan, np.float32))


def test_a_schema_is_found_by_its_name_and_an_unknown_name_is_a_bug() -> None:
    assert schema_named("mesh468") is MESH468
    with pytest.raises(ValueError, match=r"'mesh478' is unknown; known: .*insightface106"):
        schema_named("mesh478")


def test_no_other_module_holds_a_tuple_of_indices_of_the_mesh() -> None:
    known = {point for group in groups(MESH468).values() for point in group}
    for module, path in modules().items():
        if module in ("pipeline.faces.schemas", "pipeline.export.landmarks68"):
            continue  # the second one converts to another numbering, point by point
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                numbers = {one.value for one in node.elts if isinstance(one, ast.Constant)}
                is_group = len(numbers) > 1 and numbers <= known and max(numbers) > 128
                assert not is_group, f"{path}:{node.lineno}: {ast.unparse(node)}"


def test_the_edges_of_the_mesh_s_lips_run_from_corner_to_corner() -> None:
    outer = MESH468.outer_lip
    assert outer.lower_edge[0] == outer.upper_edge[0] == MESH468.mouth_corners[0]
    assert outer.lower_edge[-1] == outer.upper_edge[-1] == MESH468.mouth_corners[1]
    assert set(outer.lower_edge) | set(outer.upper_edge) == set(outer.points)
    upper, lower = MESH468.lip_pairs[0]
    assert MESH468.inner_lip.upper_edge[5] == upper
    assert MESH468.inner_lip.lower_edge[5] == lower


def test_the_lids_of_the_mesh_run_from_corner_to_corner_of_the_same_eye() -> None:
    ends = [MESH468.left_eye_corners, MESH468.right_eye_corners[::-1]]
    for lids in (MESH_UPPER_LIDS, MESH_LOWER_LIDS):
        assert [(lid[0], lid[-1]) for lid in lids] == ends
