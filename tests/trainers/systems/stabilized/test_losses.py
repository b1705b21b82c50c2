"""The losses of Yaman et al. against values computed by hand, and at their limits."""

from math import log, sqrt

import pytest
import torch

from trainers.systems.stabilized.losses.adversarial import deceiving_loss, judge_loss
from trainers.systems.stabilized.losses.perceptual import (
    adaptive_triplet_loss,
    distance,
    perceptual_loss,
    triplet_loss,
)
from trainers.systems.stabilized.losses.sync import stabilized_sync_loss, wav2lip_sync_loss

EPS = 0.01


def numbers(*values, grad=False):
    return torch.tensor(values, requires_grad=grad)


def sync(x, y, d, eps=EPS):
    return float(stabilized_sync_loss(numbers(x), numbers(y), numbers(d), eps))


@pytest.mark.parametrize(
    ("x", "y", "d"), [(0.5, 0.9, 0.3), (0.95, 0.9, 0.3), (0.2, 0.6, 0.8), (0.6, 0.6, 0.1)]
)
def test_stabilized_sync_loss_is_the_published_formula(x, y, d):
    published = -log(1 - (abs(x - y) + EPS) / (abs(x - y) + abs(y - d) + EPS))
    assert sync(x, y, d) == pytest.approx(published, rel=1e-5)
    assert published == pytest.approx(log((abs(x - y) + abs(y - d) + EPS) / abs(y - d)), rel=1e-9)


def test_a_made_picture_as_synchronous_as_the_real_one_costs_epsilon_alone():
    assert sync(0.8, 0.8, 0.3) == pytest.approx(log(1 + EPS / 0.5), rel=1e-5)
    assert sync(0.8, 0.8, 0.3) < sync(0.7, 0.8, 0.3)
    assert sync(0.9, 0.8, 0.3) == pytest.approx(sync(0.7, 0.8, 0.3), rel=1e-4)


def test_a_reference_in_sync_gives_the_largest_value_and_a_bounded_gradient():
    values = [sync(0.5, 0.8, 0.8 - gap) for gap in (0.4, 0.1, 0.02, EPS, 0.001, 0.0)]
    assert values == sorted(values)
    assert values[-1] == values[-2] == pytest.approx(log(1 + (0.3 + EPS) / EPS), rel=1e-5)
    x = numbers(0.8 - 1e-7, 0.79, 0.5, grad=True)
    stabilized_sync_loss(x, numbers(0.8, 0.8, 0.8), numbers(0.8, 0.8, 0.8), EPS).sum().backward()
    assert x.grad.abs().max() <= 1 / (2 * EPS) + 1e-3
    assert x.grad[2] == pytest.approx(-1 / (0.3 + 2 * EPS), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_only_the_made_pictures_cosine_gets_a_gradient_in_any_precision(dtype):
    x, y, d = (numbers(v, v, grad=True) for v in (0.8, 0.8, 0.8))
    loss = stabilized_sync_loss(x.to(dtype), y.to(dtype), d.to(dtype), EPS)
    assert loss.dtype == torch.float32
    loss.sum().backward()
    assert x.grad.isfinite().all()
    assert y.grad is None
    assert d.grad is None


def test_wav2lips_loss_is_minus_the_logarithm():
    assert wav2lip_sync_loss(numbers(0.5, 1.0)).tolist() == pytest.approx([log(2), 0])


def maps(*values):
    """Five maps of one picture each, constant."""
    return [torch.full((1, 2, 4 >> (n // 2), 4), float(value)) for n, value in enumerate(values)]


def test_perceptual_loss_weighs_the_five_layers():
    made, real = maps(1, 1, 1, 1, 1), maps(0, 3, 1, 2, 5)
    expected = 1 / 32 + 2 / 16 + 0 + 1 / 4 + 4
    assert perceptual_loss(made, real).tolist() == pytest.approx([expected])


def test_the_distance_is_the_mean_over_layers_of_the_root_mean_square_at_any_size():
    one, other = maps(0, 0, 0, 0, 0), maps(1, 2, 3, 4, 5)
    assert distance(one, other).tolist() == pytest.approx([3.0])
    mixed = [torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)] * 5
    assert distance(mixed, [torch.zeros(1, 2, 1, 1)] * 5).tolist() == pytest.approx([sqrt(12.5)])


def test_the_adaptive_triplet_is_a_distance_minus_a_ratio():
    found = adaptive_triplet_loss(numbers(0.7), numbers(0.4), numbers(0.8), 1e-6)
    assert found.tolist() == pytest.approx([0.7 - 0.4 / 0.8 + 1], rel=1e-4)


def test_the_ratio_is_1_where_made_is_real_and_where_the_reference_is_the_real_picture():
    floor = 0.05
    same = adaptive_triplet_loss(numbers(0.0), numbers(0.8), numbers(0.8), floor)
    assert same.tolist() == pytest.approx([floor])  # 0 - 1 + 1, and never below eps
    near, far = numbers(0.3, grad=True), numbers(0.3, grad=True)
    equal = adaptive_triplet_loss(near, far, numbers(0.0), floor)
    assert equal.tolist() == pytest.approx([0.3])
    equal.backward()
    assert (float(near.grad), float(far.grad)) == (1.0, 0.0)


@pytest.mark.parametrize("gap", [0.0, 1e-4, 0.05, 1.0])
def test_the_reference_pushes_no_harder_than_the_guard_allows(gap):
    near, far = numbers(0.3, grad=True), numbers(gap, grad=True)
    adaptive_triplet_loss(near, far, numbers(gap), 0.05).backward()
    assert -1 / (2 * 0.05) - 1e-3 <= float(far.grad) <= 0


def test_the_plain_triplet_has_a_margin_of_1_and_ends_at_0():
    found = triplet_loss(numbers(0.7, 0.0), numbers(0.4, 2.0))
    assert found.tolist() == pytest.approx([1.3, 0.0])


def test_equal_features_have_a_gradient_of_0_and_no_nan():
    made = [torch.ones(1, 1, 2, 2, requires_grad=True) for _ in range(5)]
    real = [torch.ones(1, 1, 2, 2)] * 5
    distance(made, real).sum().backward()
    assert all(torch.equal(one.grad, torch.zeros(1, 1, 2, 2)) for one in made)


def test_the_hinge_is_shut_beyond_the_margin():
    real, made = torch.full((1, 2, 2), 1.5), torch.full((1, 2, 2), -3.0)
    assert judge_loss(real, made).tolist() == [0.0]
    assert judge_loss(made, real).tolist() == [1 + 3 + 1 + 1.5]
    assert deceiving_loss(made).tolist() == [3.0]
