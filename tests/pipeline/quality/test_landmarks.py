import numpy as np
import pytest

from pipeline.faces.schemas import INSIGHTFACE106, MESH468
from pipeline.quality.landmarks import jitter, mouth_movement
from tests.pipeline.quality.synthetic import SCALE, track

MEASURED = np.zeros(50, bool)
SCHEMAS = pytest.mark.parametrize("schema", [MESH468, INSIGHTFACE106], ids=lambda s: s.name)


@SCHEMAS
def test_mouth_movement_is_the_standard_deviation_of_the_opening_in_eye_distances(schema):
    points = track(schema, 50, opening=0.03).astype(float)
    assert mouth_movement(points, MEASURED, schema) == pytest.approx(0.03 / np.sqrt(2), rel=0.05)


@SCHEMAS
def test_a_closed_mouth_on_a_moving_head_does_not_move(schema):
    points = track(schema, 50).astype(float)
    points[:, :, 0] += np.linspace(0, 80, 50)[:, None]
    assert mouth_movement(points, MEASURED, schema) < 1e-4


@SCHEMAS
def test_jitter_ignores_a_steady_pan_and_sees_a_shaking_pixel(schema):
    points = track(schema, 50).astype(float)
    points[:, :, 0] += np.linspace(0, 80, 50)[:, None]
    assert jitter(points, MEASURED, schema) < 1e-4
    points[:, :, 1] += np.where(np.arange(50) % 2, 0.5, -0.5)[:, None]
    assert jitter(points, MEASURED, schema) == pytest.approx(2 / SCALE, rel=0.01)


def test_interpolated_frames_neither_flatter_nor_disturb():
    points = track(MESH468, 50, opening=0.03).astype(float)
    lost = MEASURED.copy()
    lost[20:30] = True
    points[20:30] += np.random.default_rng(0).normal(0, 50, (10, 468, 3))
    assert jitter(points, lost, MESH468) < 1e-4
    assert mouth_movement(points, lost, MESH468) == pytest.approx(0.021, rel=0.1)
    everything = np.ones(50, bool)
    assert jitter(points, everything, MESH468) == 0
    assert mouth_movement(points, everything, MESH468) == 0
