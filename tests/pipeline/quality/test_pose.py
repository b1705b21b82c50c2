import numpy as np
import pytest

from pipeline.faces.schemas import INSIGHTFACE106, MESH468
from pipeline.quality.pose import head_pose, steepest
from tests.pipeline.quality.synthetic import track

TURNS = [(0, 0, 0), (30, 0, 0), (-45, 0, 0), (0, 20, 0), (0, -25, 0), (0, 0, 15), (25, 15, -10)]


@pytest.mark.parametrize(("yaw", "pitch", "roll"), TURNS)
def test_the_mesh_gives_the_turn_of_a_stiff_head_within_a_degree(yaw, pitch, roll):
    points = track(MESH468, 2, yaw=yaw, pitch=pitch, roll=roll).astype(float)
    assert head_pose(points, MESH468)[0] == pytest.approx((yaw, pitch, roll), abs=1.0)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), TURNS)
def test_the_flat_landmarks_give_the_turn_of_a_stiff_head_within_six_degrees(yaw, pitch, roll):
    points = track(INSIGHTFACE106, 2, yaw=yaw, pitch=pitch, roll=roll).astype(float)
    assert head_pose(points, INSIGHTFACE106)[0] == pytest.approx((yaw, pitch, roll), abs=6.0)


def test_one_wild_frame_of_fifty_does_not_count_as_the_pose_of_the_clip():
    angles = np.zeros(50)
    angles[7] = 80.0
    assert steepest(angles) == pytest.approx(0.0)


def test_a_head_that_has_collapsed_to_one_point_still_gives_finite_angles():
    for schema in (MESH468, INSIGHTFACE106):
        assert np.isfinite(head_pose(np.zeros((3, schema.num_points, 3)), schema)).all()
