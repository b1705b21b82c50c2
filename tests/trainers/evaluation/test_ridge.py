"""Ridge and kernel ridge regression, against what is known of them."""

import numpy as np
import pytest

from trainers.evaluation.ridge import RidgeSums, correlation, fit_kernel_ridge

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(300, 5))
TRUE = np.array([1.0, -2.0, 0.0, 0.5, 3.0])


def test_without_noise_and_penalty_the_weights_are_found_in_parts():
    sums = RidgeSums(5)
    for part in (slice(0, 100), slice(100, 300)):
        sums.add(ROWS[part], ROWS[part] @ TRUE)
    np.testing.assert_allclose(sums.weights(0), TRUE, atol=1e-9)


def test_a_penalty_of_the_mean_square_halves_white_weights():
    sums = RidgeSums(5)
    sums.add(ROWS, ROWS @ TRUE)
    np.testing.assert_allclose(sums.weights(1), TRUE / 2, rtol=0.2, atol=0.1)


def test_a_pixel_that_never_changes_needs_no_inverse():
    sums = RidgeSums(2)
    sums.add(np.zeros((4, 2)), np.ones(4))
    assert np.isfinite(sums.weights(0.4)).all()


def test_the_kernel_ridge_finds_what_a_line_cannot():
    inputs, others = RNG.normal(size=(400, 2)), RNG.normal(size=(100, 2))
    fitted = fit_kernel_ridge(inputs, np.abs(inputs[:, 0]), 0.7, 0.1)
    assert correlation(fitted.predict(others), np.abs(others[:, 0])) > 0.95


def test_correlation_is_pearsons_and_0_for_what_stands_still():
    one = RNG.normal(size=50)
    other = one + RNG.normal(size=50)
    assert correlation(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert correlation(one, -3 * one + 7) == pytest.approx(-1)
    assert correlation(one, np.full(50, 0.1)) == 0
