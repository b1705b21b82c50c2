"""The loss on the cosine has the recorded edges, and never stops a process without a word."""

import json

import pytest
import torch

from tests.conftest import ROOT
from trainers.systems.stable_syncnet.losses import (
    cosine,
    cosine_bce,
    matching_loss,
    matrix_accuracy,
    matrix_bce,
    ranking_accuracy,
    sync_accuracy,
)

EDGE = json.loads((ROOT / "tests/golden/g2_stable_syncnet_results.json").read_text())["bce_edge"]


@pytest.mark.parametrize("clamp", [False, True])
def test_edges_are_the_recorded_ones(clamp):
    pairs = torch.tensor(EDGE["cos"])
    for label, name in ((1, "y1"), (0, "y0")):
        loss = cosine_bce(pairs, torch.full((3,), label), clamp)
        torch.testing.assert_close(loss, torch.tensor(EDGE[name]), atol=1e-6, rtol=1e-6)


def test_untrained_pairs_cost_log_two():
    loss = cosine_bce(torch.tensor([0.5, 0.5]), torch.tensor([True, False]))
    torch.testing.assert_close(loss, torch.full((2,), 0.693147))


def test_a_cosine_outside_is_nan_or_clamped_by_choice():
    pairs = torch.tensor([1.0 + 1e-6, -0.1, 0.6])
    labels = torch.tensor([1, 0, 1])
    assert cosine_bce(pairs, labels).isnan().tolist() == [True, True, False]
    torch.testing.assert_close(
        cosine_bce(pairs, labels, clamp=True), torch.tensor([0.0, 0.0, 0.5108256])
    )


def test_a_nan_stays_a_nan():
    assert cosine_bce(torch.tensor([torch.nan]), torch.ones(1), clamp=True).isnan().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_embeddings_are_widened_first(dtype):
    draw = torch.Generator().manual_seed(0)
    vision = torch.rand(4, 2048, generator=draw).to(dtype)
    audio = torch.rand(4, 2048, generator=draw).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        pairs = cosine(vision, audio)
        loss = cosine_bce(pairs, torch.ones(4))
    assert pairs.dtype == loss.dtype == torch.float32
    torch.testing.assert_close(pairs, cosine(vision.float(), audio.float()))


def test_a_zero_vector_has_cosine_zero():
    assert cosine(torch.zeros(1, 8), torch.ones(1, 8)).item() == 0


def test_a_pair_in_sync_without_a_common_component_costs_100_and_gives_no_gradient():
    before = torch.tensor([[1.0, 2.0, -1.0, -3.0]], requires_grad=True)
    embedding = torch.nn.functional.normalize(before.relu(), dim=1)
    loss = cosine_bce(cosine(embedding, torch.tensor([[0.0, 0.0, 0.6, 0.8]])), torch.ones(1))
    loss.sum().backward()
    assert loss.item() == 100
    assert before.grad.abs().max() == 0


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_pair_at_the_end_of_the_logarithm_teaches_nothing(label):
    """A cosine that rounds to 1 has a direction by rounding alone."""
    sound = torch.tensor([[1.0, 0.0]])
    picture = torch.tensor([[1.0, 1e-4]] if label == 0 else [[0.0, 1.0]], requires_grad=True)
    loss = cosine_bce(cosine(picture, sound), torch.tensor([label]), clamp=True)
    assert loss.tolist() == [100]
    loss.sum().backward()
    assert picture.grad.tolist() == [[0, 0]]


def test_accuracy_is_the_share_on_their_side_of_one_half():
    pairs = torch.tensor([0.9, 0.6, 0.5, 0.1])
    assert sync_accuracy(pairs, torch.tensor([1, 0, 1, 0])).item() == 0.5
    assert sync_accuracy(pairs, torch.tensor([1, 1, 0, 0])).item() == 1.0


def test_the_matrix_loss_weighs_positives_and_negatives_half_each():
    pairs = torch.tensor([[[0.9, 0.2, 0.3], [0.4, 0.8, 0.5], [0.1, 0.6, 0.7]]])
    labels = torch.tensor([[[1, 0, 0], [0, 1, -1], [0, -1, -1]]])
    right = torch.tensor([0.9, 0.8]).log().neg().mean()
    wrong = (1 - torch.tensor([0.2, 0.3, 0.4, 0.1])).log().neg().mean()
    torch.testing.assert_close(matrix_bce(pairs, labels), ((right + wrong) / 2)[None])
    accuracy = matrix_accuracy(pairs, labels)
    assert accuracy.tolist() == [1.0]
    assert ranking_accuracy(pairs, labels).tolist() == [1.0]


def test_matching_is_the_cross_entropy_of_the_right_partner_both_ways():
    pairs = torch.tensor([[[0.9, 0.2], [0.4, 0.8]]])
    labels = torch.tensor([[[1, 0], [0, 1]]])
    logits, partner = pairs[0] / 0.1, torch.arange(2)
    entropy = torch.nn.functional.cross_entropy
    expected = (entropy(logits, partner) + entropy(logits.T, partner)) / 2
    torch.testing.assert_close(matching_loss(pairs, labels, 0.1), expected[None])


def test_windows_that_do_not_count_change_nothing_and_get_no_gradient():
    draw = torch.Generator().manual_seed(0)
    pairs = torch.rand(1, 4, 4, generator=draw)
    labels = torch.full((1, 4, 4), -1)
    labels[0, :2, :2] = torch.tensor([[1, 0], [0, 1]])
    pairs.requires_grad_()
    for loss_of in (lambda x, y: matching_loss(x, y, 0.1), matrix_bce):
        inner = loss_of(pairs[:, :2, :2].detach(), labels[:, :2, :2])
        torch.testing.assert_close(loss_of(pairs, labels).detach(), inner)
        (gradient,) = torch.autograd.grad(loss_of(pairs, labels).sum(), pairs)
        assert gradient.isfinite().all()
        assert gradient[labels == -1].abs().max() == 0


def test_a_tie_is_half_won():
    pairs = torch.tensor([[[0.5, 0.5], [0.9, 0.5]]])
    assert ranking_accuracy(pairs, torch.tensor([[[1, 0], [0, 1]]])).tolist() == [0.25]
