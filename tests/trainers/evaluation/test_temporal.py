"""Flicker and seams of generated pictures."""

import numpy as np
import pytest

from trainers.dubbing.overlapping_windows import overlapping_windows, shared_by_windows
from trainers.evaluation.temporal import roughness, temporal_scores
from trainers.talking_face.masks import keep_mask

HOLE = keep_mask(32)[0, 0].numpy() == 0
REAL = np.random.default_rng(0).integers(90, 110, (40, 3, 32, 32)).astype(np.uint8)
SEAMS = shared_by_windows(40, 16, 4)


def test_an_even_change_is_smooth_and_flicker_is_not():
    even = np.arange(10, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 3, 32, 32), np.uint8)
    assert not roughness(even).any()
    flicker = even.copy()
    flicker[::2] += 6
    np.testing.assert_allclose(roughness(flicker), 12)


def test_only_generated_pixels_count():
    other = REAL.copy()
    other[:, :, ~HOLE] = 0
    np.testing.assert_array_equal(roughness(other), roughness(REAL))


def test_a_copy_has_ratio_1_and_a_still_0():
    copied = temporal_scores(REAL, {"own": REAL}, SEAMS)
    assert copied == {"own_roughness": 1, "own_seam_roughness": 1}
    still = temporal_scores(REAL, {"own": REAL[:1].repeat(40, axis=0)}, SEAMS)
    assert set(still.values()) == {0.0}


def test_a_jump_between_windows_is_seen_at_the_seams_only():
    jumping = REAL.copy()
    jumping[14:] += 60
    found = temporal_scores(REAL, {"own": jumping}, SEAMS)
    assert found["own_roughness"] == 1
    assert found["own_seam_roughness"] > 1.2


def test_a_clip_of_one_window_has_no_seam():
    found = temporal_scores(REAL[:16], {"own": REAL[:16]}, shared_by_windows(16, 16, 4))
    assert found["own_roughness"] == 1
    assert np.isnan(found["own_seam_roughness"])


@pytest.mark.parametrize("frames", [5, 16, 17, 40, 100])
def test_shared_frames_are_those_of_two_windows(frames):
    windows = overlapping_windows(frames, 16, 4)
    weighted = np.zeros(frames, int)
    for window in windows:
        weighted[window.start : window.end] += window.weights() > 0
    np.testing.assert_array_equal(shared_by_windows(frames, 16, 4), weighted > 1)
