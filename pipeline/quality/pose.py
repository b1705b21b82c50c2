"""Head pose from landmarks: yaw, pitch and roll in degrees, 0 for a face into the camera.

`mesh468` has depth: the axes are two lines of the face that expressions do not move.
`insightface106` is flat: yaw and pitch follow from the position of the nose tip between eyes and
mouth, for a rigid head of fixed proportions under orthographic projection.

Axes: x to the right of the picture, y down, z away from the camera. Positive yaw: the nose points
to the right of the picture; positive pitch: down; positive roll: clockwise. The head is pitched
first, then yawed, then rolled.
Shapes: T = frames, L = landmarks, C = coordinates.
"""

import numpy as np

from pipeline import elementary
from pipeline.faces.schemas import HeadAxes, LandmarkSchema
from pipeline.quality.landmarks import Floats

# Proportions of the rigid head in units of the distance between the eye centres, y down from the
# eye line and z towards the camera from it. Fitted, see docs/quality.md.
_NOSE_DOWN, _NOSE_OUT = 0.47, 0.716
_MOUTH_DOWN, _MOUTH_OUT = 1.12, 0.04
_STEEPEST = 75.0
"""Limit in degrees of the flat formula's result, which is meaningless beyond."""


def head_pose(points_TLC: Floats, schema: LandmarkSchema) -> Floats:
    """Return (T, 3): yaw, pitch and roll of every frame, degrees."""
    if schema.head_axes is None:
        return _from_ratios(points_TLC, schema)
    return _from_axes(points_TLC, schema, schema.head_axes)


def steepest(angles_T: Floats) -> float:
    """Return the 95th percentile of |angle|: the largest turn, without outliers."""
    return float(np.percentile(np.abs(angles_T), 95))


def _from_axes(points_TLC: Floats, schema: LandmarkSchema, axes: HeadAxes) -> Floats:
    """Solve for the turns from the axes: eye corners and ears across, forehead to chin down."""
    (left_eye, right_eye), (left_ear, right_ear) = schema.outer_eye_corners, axes.ears
    across_TC = points_TLC[:, right_eye] - points_TLC[:, left_eye]
    across_TC = across_TC + points_TLC[:, right_ear] - points_TLC[:, left_ear]
    down_TC = points_TLC[:, axes.chin] - points_TLC[:, axes.forehead]
    x_TC = _unit(across_TC)
    z_TC = _unit(np.cross(x_TC, down_TC))
    y_TC = np.cross(z_TC, x_TC)
    # columns x, y, z = turn about z (roll) of a turn about y (yaw) of a turn about x (pitch)
    roll = elementary.arctan2(x_TC[:, 1], x_TC[:, 0])
    yaw = elementary.arctan2(x_TC[:, 2], np.hypot(x_TC[:, 0], x_TC[:, 1]))
    pitch = elementary.arctan2(y_TC[:, 2], z_TC[:, 2])
    angles_T3: Floats = np.degrees(np.stack([yaw, pitch, roll], axis=1))
    return angles_T3


def _unit(vectors_TC: Floats) -> Floats:
    length_T1 = np.linalg.norm(vectors_TC, axis=1, keepdims=True)
    unit_TC: Floats = vectors_TC / np.maximum(length_T1, 1e-9)
    return unit_TC


def _from_ratios(points_TLC: Floats, schema: LandmarkSchema) -> Floats:
    """Solve the projection of eyes, nose and mouth for yaw and pitch.

    With the eye line as x axis and its middle as origin, a head turned by yaw y then pitch p shows
    the nose at x = out * sin y (in eye distances of a frontal face), and any point at
    height = down * cos p + out * sin p; the ratio of two heights has no unknown scale.
    """
    left_TC = points_TLC[:, list(schema.left_eye_corners), :2].mean(axis=1)
    right_TC = points_TLC[:, list(schema.right_eye_corners), :2].mean(axis=1)
    along_TC = right_TC - left_TC
    shown_T = np.maximum(np.linalg.norm(along_TC, axis=1), 1.0)
    unit_TC = along_TC / shown_T[:, None]
    middle_TC = (left_TC + right_TC) / 2
    nose_TC = points_TLC[:, schema.nose_tip, :2] - middle_TC
    mouth_TC = points_TLC[:, list(schema.mouth_corners), :2].mean(axis=1) - middle_TC
    # shown = cos yaw, so the ratio of the nose's x to it is out * tan yaw
    yaw = elementary.arctan2((nose_TC * unit_TC).sum(axis=1) / shown_T / _NOSE_OUT, 1.0)
    normal_TC = np.stack([-unit_TC[:, 1], unit_TC[:, 0]], axis=1)
    nose_T, mouth_T = (nose_TC * normal_TC).sum(axis=1), (mouth_TC * normal_TC).sum(axis=1)
    # nose / mouth = (nose_down + nose_out * t) / (mouth_down + mouth_out * t), t = tan pitch
    pitch = elementary.arctan2(
        nose_T * _MOUTH_DOWN - mouth_T * _NOSE_DOWN, mouth_T * _NOSE_OUT - nose_T * _MOUTH_OUT
    )
    pitch = np.where(np.abs(pitch) > np.pi / 2, np.sign(pitch) * np.pi / 2, pitch)
    roll = elementary.arctan2(unit_TC[:, 1], unit_TC[:, 0])
    angles_T3: Floats = np.degrees(np.stack([yaw, pitch, roll], axis=1))
    angles_T3[:, :2] = np.clip(angles_T3[:, :2], -_STEEPEST, _STEEPEST)
    return angles_T3
