"""Windows: equally long, no frame left out, weights that add up to 1."""

import numpy as np
import pytest

from trainers.dubbing.overlapping_windows import first_window_covering, overlapping_windows


@pytest.mark.parametrize("overlap", [0, 1, 4, 8])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 28, 29, 40, 131])
def test_the_weights_of_all_windows_add_up_to_one_on_every_frame(length, overlap):
    total = np.zeros(length)
    for window in overlapping_windows(length, 16, overlap):
        total[window.start : window.end] += window.weights()
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("length", [16, 17, 28, 29, 131])
def test_no_window_is_shortened_where_the_interval_is_long_enough(length):
    assert {one.end - one.start for one in overlapping_windows(length, 16, 4)} == {16}


def test_two_windows_fade_linearly():
    first, second = overlapping_windows(28, 16, 4)
    np.testing.assert_allclose(first.weights()[11:], [1, 0.8, 0.6, 0.4, 0.2], atol=1e-6)
    np.testing.assert_allclose(second.weights()[:5], [0.2, 0.4, 0.6, 0.8, 1], atol=1e-6)


def test_an_overlap_of_more_than_half_a_window_is_refused():
    with pytest.raises(ValueError, match="0 to half"):
        overlapping_windows(40, 16, 9)


@pytest.mark.parametrize("frame", range(40))
def test_windows_before_the_first_one_do_not_contain_the_frame(frame):
    windows = overlapping_windows(40, 16, 4)
    number = first_window_covering(windows, frame)
    assert all(one.end <= frame for one in windows[:number])
    assert windows[number].start <= frame < windows[number].end
