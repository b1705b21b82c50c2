import json

import numpy as np
import pytest

from pipeline.demo.articulation import still
from pipeline.demo.motion import Pose, move
from pipeline.demo.portrait import (
    LANDMARKS,
    Framing,
    Sitter,
    eye_to_chin,
    find_landmarks,
    framed,
    portrait_image,
)
from pipeline.demo.speech import Speech
from pipeline.demo.talking_portrait import TalkingPortrait
from pipeline.faces.litert import LiteRTBackend
from tests.pipeline.demo.conftest import LEAD_IN_S

FPS = 25


def measured_gaps(
    backend: LiteRTBackend, portrait: TalkingPortrait, times_s: list[float]
) -> list[float]:
    """What the Face Mesh sees of the lip opening, in units of eyes to chin."""
    gaps = []
    for time_s in times_s:
        one = portrait.render(time_s)
        face = backend.landmarks(one.image, np.array(one.box, np.float32))
        assert face.score > 0.9
        opening = np.linalg.norm(face.points[13, :2] - face.points[14, :2])
        gaps.append(float(opening) / eye_to_chin(face.points.astype(np.float64)))
    return gaps


def test_the_face_mesh_sees_the_mouth_move_as_scripted(
    spoken: Speech, portrait: TalkingPortrait, backend: LiteRTBackend
) -> None:
    times = [n / FPS for n in range(round((spoken.duration_s + LEAD_IN_S) * FPS))]
    scripted = [portrait.articulation.at(time_s)[0] for time_s in times]
    seen = measured_gaps(backend, portrait, times)
    assert np.corrcoef(scripted, seen)[0, 1] > 0.9
    assert np.ptp(seen) > 0.06  # real speakers: 0.08 to 0.15 between the 5th and 95th percentile


def test_a_still_mouth_is_seen_as_still(portrait: TalkingPortrait, backend: LiteRTBackend) -> None:
    silent = TalkingPortrait(portrait.portrait, still(3.0), portrait.motion)
    seen = measured_gaps(backend, silent, [0.0, 0.7, 1.5, 2.2])
    assert np.ptp(seen) < 0.01


def test_the_true_box_is_where_the_face_mesh_finds_the_face(
    portrait: TalkingPortrait, backend: LiteRTBackend
) -> None:
    for time_s in (0.1, 0.9, 1.7):
        one = portrait.render(time_s)
        points = backend.landmarks(one.image, backend.detect(one.image)[0]).points[:, :2]
        found = (*points.min(axis=0), *points.max(axis=0))
        width = one.box[2] - one.box[0]
        assert np.abs(np.subtract(found, one.box)).max() < 0.08 * width


def test_the_same_time_gives_the_same_picture(portrait: TalkingPortrait) -> None:
    again = TalkingPortrait(portrait.portrait, portrait.articulation, move(1, 4.0))
    assert np.array_equal(portrait.render(1.23).image, again.render(1.23).image)


def test_the_background_at_the_border_stays(portrait: TalkingPortrait) -> None:
    one, two = portrait.render(0.2).image.astype(int), portrait.render(1.9).image.astype(int)
    edge = np.abs(one[:, :4] - two[:, :4]).mean()
    face = np.abs(one[90:170, 120:200] - two[90:170, 120:200]).mean()
    assert edge < 1.5
    assert face > 3 * edge


def test_a_mirrored_portrait_has_its_landmarks_on_the_right_sides() -> None:
    plain = framed("astronaut", Framing(320, 240, 80.0))
    turned = framed("astronaut", Framing(320, 240, 80.0, mirrored=True))
    for portrait in (plain, turned):
        assert portrait.points[33, 0] < portrait.points[263, 0]
        assert portrait.points[61, 0] < portrait.points[291, 0]
    assert turned.points[1, :2] == pytest.approx(plain.points[1, :2], abs=0.5)


def test_yaw_turns_the_nose_towards_the_side(
    portrait: TalkingPortrait, backend: LiteRTBackend
) -> None:
    def nose_share(yaw_deg: float) -> float:
        motion = move(1, 4.0, Pose(yaw_deg=yaw_deg))
        one = TalkingPortrait(portrait.portrait, still(1.0), motion).render(0.0)
        points = backend.landmarks(one.image, np.array(one.box, np.float32)).points
        return float((points[1, 0] - points[234, 0]) / (points[454, 0] - points[234, 0]))

    assert nose_share(-25.0) < nose_share(0.0) - 0.1 < nose_share(25.0) - 0.2


@pytest.mark.parametrize("sitter", ["astronaut", "hopper"])
def test_the_stored_landmarks_are_those_the_backend_finds(
    sitter: Sitter, backend: LiteRTBackend
) -> None:
    stored = np.array(json.loads(LANDMARKS.read_text())[sitter]["points"])
    found = find_landmarks(portrait_image(sitter))
    assert np.abs(stored - found)[:, :2].max() < 0.03 * eye_to_chin(stored)


def test_the_landmarks_without_painting_are_those_of_the_painted_frame(
    portrait: TalkingPortrait,
) -> None:
    points = portrait.landmarks(0.8)
    x0, y0, x1, y1 = portrait.render(0.8).box
    assert points.shape == (468, 3)
    assert points[:, :2].min(axis=0) == pytest.approx((x0, y0), abs=1)
    assert points[:, :2].max(axis=0) == pytest.approx((x1, y1), abs=1)
