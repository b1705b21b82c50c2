"""Every face of every shot as one track, however long, from a scripted world of faces."""

import numpy as np

from pipeline.faces.landmark_tracks import LandmarkTrack, track_landmarks
from pipeline.faces.tracking import TrackingRules
from tests.pipeline.faces.stub import World, face_at, picture

RULES = TrackingRules(detect_every_frames=5, max_gap_frames=3, min_face_px=20)


def tracks_of(
    world: World, shots: list[tuple[int, int]], piece: int = 10_000
) -> list[LandmarkTrack]:
    pictures = (picture(number) for number in range(shots[-1][1]))
    return list(track_landmarks(pictures, shots, world, RULES, piece))


def spans(tracks: list[LandmarkTrack]) -> list[tuple[int, int, int, int]]:
    return [(one.scene, one.face, one.start_frame, one.end_frame) for one in tracks]


def test_a_face_is_one_track_per_shot_with_its_own_number() -> None:
    world = World([lambda k: face_at(200 + k, 200)])
    tracks = tracks_of(world, [(0, 30), (30, 50)])
    assert spans(tracks) == [(0, 0, 0, 30), (1, 1, 30, 50)]
    assert tracks[0].landmarks.shape == (30, 9, 3)
    assert np.allclose(tracks[0].boxes[7], face_at(207, 200))


def test_two_faces_are_two_tracks_and_none_loses_a_frame() -> None:
    world = World([lambda k: face_at(100, 100), lambda k: face_at(400, 100) if k < 20 else None])
    tracks = tracks_of(world, [(0, 40)])
    assert spans(tracks) == [(0, 1, 0, 20), (0, 0, 0, 40)]
    assert set(tracks[0].landmarks[:, 0, 2]) == {1.0}


def test_frames_in_which_a_face_was_lost_are_interpolated() -> None:
    world = World([lambda k: None if k in (10, 11) else face_at(100 + k, 100)])
    (track,) = tracks_of(world, [(0, 30)])
    assert track.end_frame == 30
    assert np.allclose(track.boxes[10], face_at(110, 100))


def test_a_long_track_comes_in_pieces_that_lose_no_frame_and_are_never_short() -> None:
    world = World([lambda k: face_at(200, 200)])
    tracks = tracks_of(world, [(0, 95)], piece=20)
    assert spans(tracks) == [(0, 0, 0, 20), (0, 0, 20, 40), (0, 0, 40, 60), (0, 0, 60, 95)]


def test_a_long_track_s_first_piece_is_given_away_before_the_last_frame_is_read() -> None:
    world = World([lambda k: face_at(200, 200)])
    taken: list[int] = []

    def pictures():
        for number in range(200):
            taken.append(number)
            yield picture(number)

    next(track_landmarks(pictures(), [(0, 200)], world, RULES, 20))
    assert taken[-1] == 39
