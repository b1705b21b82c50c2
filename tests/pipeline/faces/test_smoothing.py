"""Zero-lag smoothing."""

import numpy as np
import pytest

from pipeline.faces import smoothing


def test_constant_speed_comes_out_unchanged_even_at_the_ends() -> None:
    line = np.arange(40.0)[:, None, None] * [[1.0, -2.0]] + 7
    assert np.allclose(smoothing.smooth(line, 1.5), line, atol=1e-9)


def test_a_pulse_stays_where_it_is() -> None:
    pulse = np.zeros(41)
    pulse[20] = 1
    smoothed = smoothing.smooth(pulse, 2.0)
    assert np.allclose(smoothed, smoothed[::-1])
    assert smoothed.argmax() == 20
    assert smoothed.sum() == pytest.approx(1)


def test_jitter_is_reduced_everywhere() -> None:
    noise = np.random.default_rng(0).standard_normal((20_000, 30))
    smoothed = np.stack([smoothing.smooth(row, 1.5) for row in noise[:500]])
    assert smoothed[:, 15].std() < 0.5
    assert smoothed[:, 0].std() < 0.95


def test_one_value_of_the_stream_equals_that_of_the_whole() -> None:
    values = np.random.default_rng(1).standard_normal((50, 3, 2))
    whole = smoothing.smooth(values, 1.5)
    radius = smoothing.radius_frames(1.5)
    for t in (0, 3, 25, 49):
        low = max(0, t - radius)
        assert np.array_equal(
            smoothing.smooth_at(values[low : t + radius + 1], t - low, 1.5), whole[t]
        )


@pytest.mark.parametrize("length", [1, 2, 3])
def test_short_tracks_have_values_too(length: int) -> None:
    assert np.isfinite(smoothing.smooth(np.arange(float(length)), 1.5)).all()


def test_sigma_zero_changes_nothing() -> None:
    values = np.random.default_rng(2).standard_normal((10, 2))
    assert np.array_equal(smoothing.smooth(values, 0.0), values)


def test_guides_are_steadied_frame_by_frame_as_all_at_once() -> None:
    guides = np.random.default_rng(5).normal(size=(90, 4, 2)).cumsum(axis=0)
    radius = smoothing.steadied_radius(2.0)
    whole = smoothing.steadied(guides, 2.0)
    for t in range(len(guides)):
        low = max(0, t - radius)
        near = guides[low : t + radius + 1]
        assert np.array_equal(smoothing.steadied_at(near, t - low, 2.0), whole[t])


def test_steadied_anchors_follow_a_walk_and_leave_out_what_only_the_anchors_do() -> None:
    time = np.arange(120)[:, None, None]
    walk = np.array([3.0, -1.0]) * time
    guides = np.array([[-50.0, -30], [50, -30], [0, 30], [0, 0]]) + walk
    shaken = guides.copy()
    shaken[:, :3, 1] += np.sin(2 * np.pi * 4 / 25 * time[..., 0])
    assert np.allclose(smoothing.steadied(guides, 2.0), guides[:, :3], atol=1e-9)
    assert np.abs(smoothing.steadied(shaken, 2.0) - guides[:, :3])[30:-30].max() < 0.01
    assert np.array_equal(smoothing.steadied(guides, 0.0), guides[:, :3])
