"""Tracks of scripted faces: gaps, crossings, sparse detection."""

import numpy as np
import pytest

from pipeline.faces.box import Box
from pipeline.faces.tracking import Observation, Tracker, TrackingRules, track_shots
from pipeline.params.curation import FacesParams
from tests.pipeline.faces.stub import World, face_at, picture

RULES = TrackingRules(detect_every_frames=25, max_gap_frames=25, min_face_px=32)


def tracked(
    world: World, frames: int, rules: TrackingRules = RULES
) -> dict[int, list[Observation]]:
    """Run a tracker over a scripted shot and return all observations by track."""
    tracker = Tracker(world, rules)
    tracks: dict[int, list[Observation]] = {}
    for number in range(frames):
        for update in tracker.step(number, picture(number)):
            tracks.setdefault(update.track, []).extend(update.observations)
    tracker.finish()
    for seen in tracks.values():
        assert [one.frame for one in seen] == list(range(seen[0].frame, seen[-1].frame + 1))
    return tracks


def people_of(track: list[Observation]) -> set[float]:
    return {float(one.points[0, 2]) for one in track}


def hidden(first: int, end: int, x: float = 300) -> World:
    def path(number: int) -> Box | None:
        return None if first <= number < end else face_at(x + number, 200)

    return World([path])


def test_the_detector_runs_sparsely_while_a_face_is_tracked() -> None:
    world = World([lambda k: face_at(200 + k, 200)])
    tracks = tracked(world, 100)
    assert world.detected_on == [0, 25, 50, 75]
    assert len(tracks[0]) == 100


def test_a_face_hidden_for_less_than_a_second_stays_one_track() -> None:
    tracks = tracked(hidden(40, 62), 120)
    assert list(tracks) == [0]
    assert [one.frame for one in tracks[0] if one.interpolated] == list(range(40, 62))
    xs = [one.points[4, 0] for one in tracks[0]]
    assert np.allclose(np.diff(xs), 1, atol=1e-3)
    assert all(one.score == 0 for one in tracks[0] if one.interpolated)


def test_a_face_hidden_for_a_second_and_a_half_becomes_two_tracks() -> None:
    first, second = tracked(hidden(40, 77), 120).values()
    assert (first[0].frame, first[-1].frame) == (0, 39)
    assert second[0].frame == 100, "the next sparse detection"
    assert not any(one.interpolated for one in [*first, *second])


@pytest.mark.parametrize(("missing", "expected"), [(25, 1), (26, 2)])
def test_the_longest_gap_is_exact(missing: int, expected: int) -> None:
    assert len(tracked(hidden(40, 40 + missing), 120)) == expected


def test_the_detector_is_rearmed_when_a_face_is_lost() -> None:
    world = hidden(30, 41)
    tracked(world, 60)
    assert {30, 31, 32, 33, 34, 35, 38} <= set(world.detected_on)
    assert not {36, 37, 39, 45} & set(world.detected_on)


def crossing(speed: float, size: float = 100) -> World:
    """Person 0 walks to the right behind person 1, who walks to the left in front."""

    def front(number: int) -> Box:
        return face_at(600 - speed * number, 205, size)

    def back(number: int) -> Box | None:
        x = 200 + speed * number
        covered = abs(x - (600 - speed * number)) < 0.7 * size
        return None if covered else face_at(x, 195, size)

    return World([back, front])


@pytest.mark.parametrize("speed", [3.0, 4.0, 6.0])
def test_two_people_who_cross_keep_their_tracks(speed: float) -> None:
    tracks = tracked(crossing(speed), 120)
    assert all(len(people_of(seen)) == 1 for seen in tracks.values())
    front = [seen for seen in tracks.values() if people_of(seen) == {1.0}]
    assert [len(seen) for seen in front] == [120]
    back = [seen for seen in tracks.values() if people_of(seen) == {0.0}]
    assert [(seen[0].frame, seen[-1].frame) for seen in back] == [(0, 119)]


def test_a_track_never_goes_on_as_somebody_who_appears_elsewhere() -> None:
    world = World(
        [
            lambda k: face_at(200, 200) if k < 40 else None,
            lambda k: face_at(420, 200) if k >= 45 else None,
        ]
    )
    tracks = tracked(world, 100)
    assert [people_of(seen) for seen in tracks.values()] == [{0.0}, {1.0}]


def test_a_track_never_goes_on_as_somebody_of_another_size() -> None:
    world = World(
        [
            lambda k: face_at(200, 200) if k < 40 else None,
            lambda k: face_at(200, 200, 190) if k >= 45 else None,
        ]
    )
    assert [people_of(seen) for seen in tracked(world, 100).values()] == [{0.0}, {1.0}]


def test_somebody_else_in_the_next_frame_is_not_followed() -> None:
    world = World(
        [
            lambda k: face_at(200, 200) if k < 40 else None,
            lambda k: face_at(265, 200) if k >= 40 else None,
        ]
    )
    assert [people_of(seen) for seen in tracked(world, 80).values()] == [{0.0}, {1.0}]


def test_when_two_tracks_collapse_the_one_that_jumped_gives_way() -> None:
    world = World(
        [
            lambda k: face_at(200, 200) if k < 31 else None,
            lambda k: face_at(248 + 4 * (31 - min(k, 36)), 200),
        ]
    )
    tracks = tracked(world, 80)
    assert all(len(people_of(seen)) == 1 for seen in tracks.values())
    frames: dict[tuple[int, float], int] = {}
    for seen in tracks.values():
        for one in seen:
            key = one.frame, float(one.points[0, 2])
            frames[key] = frames.get(key, 0) + 1
    assert max(frames.values()) == 1


def test_small_faces_are_not_followed() -> None:
    assert tracked(World([lambda k: face_at(200, 200, 31)]), 60) == {}
    assert len(tracked(World([lambda k: face_at(200, 200, 33)]), 60)) == 1


def test_what_the_landmarks_deny_is_no_face() -> None:
    class Denied(World):
        def landmarks(self, frame, previous):
            looked = super().landmarks(frame, previous)
            return type(looked)(looked.points, 0.4)

    world = Denied([lambda k: face_at(200, 200)])
    assert tracked(world, 60) == {}
    assert len(world.detected_on) == 3


def test_several_people_are_several_tracks_numbered_through() -> None:
    world = World([lambda k, i=i: face_at(100 + 150 * i, 200) for i in range(6)])
    tracker = Tracker(world, RULES, first_number=7)
    updates = [update for k in range(30) for update in tracker.step(k, picture(k))]
    assert {update.track for update in updates} == set(range(7, 13))
    assert tracker.next_number == 13


def test_rules_are_in_frames_of_the_25_fps_grid() -> None:
    params = FacesParams(detect_every_frames=7, max_gap_seconds=0.5, min_face_px=40)
    assert TrackingRules.of(params) == TrackingRules(7, 12, 40.0)


def test_shots_are_walked_without_a_lost_frame_and_tracks_end_with_their_shot() -> None:
    world = World([lambda k: face_at(200 + k, 200)])
    read: list[int] = []

    def frames():
        for number in range(50):
            read.append(number)
            yield picture(number)

    updates = list(track_shots(frames(), [(0, 30), (30, 50)], world, RULES))
    seen = [(scene, one.frame) for scene, update in updates for one in update.observations]
    assert seen == [(0, number) for number in range(30)] + [(1, number) for number in range(30, 50)]
    ended = [(scene, update.track) for scene, update in updates if update.ended]
    assert ended == [(0, 0), (1, 1)]
    first = track_shots(frames(), [(0, 30)], world, RULES)
    read.clear()
    next(first)
    assert read == [0]
