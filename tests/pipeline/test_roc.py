"""The area under the curve, by hand."""

import numpy as np

from pipeline.roc import area_under_curve

SCORES = np.array([0.9, 0.4, 0.4, 0.1])


def test_the_area_counts_won_comparisons_and_half_of_the_ties() -> None:
    assert area_under_curve(SCORES[:2], SCORES[2:]) == 3.5 / 4
    assert area_under_curve(SCORES[2:], SCORES[:2]) == 0.5 / 4


def test_without_both_or_of_nan_there_is_no_area() -> None:
    assert np.isnan(area_under_curve(SCORES, SCORES[:0]))
    assert np.isnan(area_under_curve([], [1.0]))
    assert np.isnan(area_under_curve([np.nan, 1.0], [0.5]))
