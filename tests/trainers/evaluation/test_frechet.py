"""The Fréchet distance, where its value is known."""

import math

import pytest
import torch

from trainers.evaluation.frechet import frechet


def samples(mean: float, spread: float, seed: int, count: int = 20_000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean + spread * torch.randn(count, 4, generator=generator, dtype=torch.float64)


def test_equal_sets_have_no_distance():
    one = samples(0, 1, 0, 500)
    assert frechet(one, one).distance == pytest.approx(0, abs=1e-9)


def test_two_gaussians_have_the_distance_of_the_closed_form():
    """Means 1 apart in 4 numbers: 4. Spreads 2 and 1: 4 (2 - 1)^2 = 4."""
    found = frechet(samples(1, 2, 0), samples(0, 1, 1))
    assert found.distance == pytest.approx(8, rel=0.03)
    assert found.enough


def test_a_distance_of_no_more_samples_than_numbers_is_not_called_its_value():
    few = frechet(samples(0, 1, 0, 4), samples(0, 1, 1, 4)).content()
    assert few["value"] is None
    assert few["value_of_too_few_samples"] > 0
    assert (few["real_samples"], few["made_samples"], few["needed_samples"]) == (4, 4, 5)
    assert frechet(samples(0, 1, 0, 5), samples(0, 1, 1, 5)).content()["value"] is not None


def test_one_sample_has_no_distance():
    found = frechet(samples(0, 1, 0, 1), samples(0, 1, 1, 9))
    assert math.isnan(found.distance)
    assert found.content()["value_of_too_few_samples"] is None
