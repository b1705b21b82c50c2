"""Faces are aligned as in the curated clips."""

import numpy as np
import pytest

from pipeline.faces import alignment
from pipeline.faces.clip_extraction import extract_clips
from pipeline.faces.stretches import RunLimits
from pipeline.faces.track_buffer import ExtractionRules
from pipeline.faces.tracking import TrackingRules
from pipeline.media.frames import GridFrame
from tests.pipeline.faces.stub import World, face_at, picture
from trainers.dubbing.alignment_tracks import track_faces

RULES = ExtractionRules(TrackingRules(5, 10, 20.0), 10, 200, 1.5, 256, RunLimits())


def walker(frame):
    return None if 20 <= frame < 24 else face_at(200 + 3 * frame, 150 + frame % 3)


def frames(count=60):
    return [picture(number, 640, 480) for number in range(count)]


def test_faces_are_aligned_as_in_the_clips_of_the_curation(tmp_path):
    grid = map(GridFrame, frames())
    (clip,) = extract_clips(grid, [(0, 60)], World([walker]), RULES, tmp_path)
    (track,) = track_faces(frames(), [(0, 60)], World([walker]), RULES.tracking)
    squares = [alignment.to_square(m, 256) for m in track.matrices(RULES.sigma_frames, 256)]
    assert track.start_frame == clip.start_frame
    assert np.array_equal(np.stack(squares), clip.matrices)
    assert np.array_equal(~track.detected, clip.interpolated)
    assert np.array_equal(track.boxes, clip.boxes)


def test_faces_are_numbered_through_the_shots():
    here, there = (lambda _: face_at(100, 100)), (lambda _: face_at(400, 200))
    tracks = track_faces(frames(), [(0, 25), (25, 60)], World([here, there]), RULES.tracking)
    assert [(one.number, one.scene, one.start_frame, one.end_frame) for one in tracks] == [
        (0, 0, 0, 25),
        (1, 0, 0, 25),
        (2, 1, 25, 60),
        (3, 1, 25, 60),
    ]


def test_the_total_area_is_the_sum_over_detections():
    (track,) = track_faces(frames(), [(0, 60)], World([walker]), RULES.tracking)
    assert track.total_area == pytest.approx(56 * 100 * 100, rel=1e-3)
    assert track.face_px == pytest.approx(100, rel=1e-3)
