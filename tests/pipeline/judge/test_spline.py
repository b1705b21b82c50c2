import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from pipeline.judge.spline import refined


@pytest.mark.parametrize("steps", [2, 4])
def test_values_between_offsets_are_those_of_scipys_cubic_spline(steps: int) -> None:
    values = np.random.default_rng(0).normal(size=(50, 31))
    places = np.arange(30 * steps + 1) / steps
    wanted = CubicSpline(np.arange(31), values, axis=1)(places)
    np.testing.assert_allclose(refined(values, steps), wanted, rtol=0, atol=1e-13)


def test_values_at_whole_offsets_stay_bit_for_bit() -> None:
    values = np.random.default_rng(1).normal(size=(50, 31))
    assert (refined(values, 4)[:, ::4] == values).all()
