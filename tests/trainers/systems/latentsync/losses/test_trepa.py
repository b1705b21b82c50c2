"""TREPA: the recorded losses and gradients, and what VideoMAE is shown."""

import numpy as np
import pytest
import torch

from tests.trainers.frozen.test_videomae import rule_videomae
from tests.trainers.systems.latentsync.losses.golden_clips import (
    GOLDEN,
    KNOWN,
    noisy_clip,
    real_clip,
)
from trainers.systems.latentsync.losses.trepa import trepa_loss, trepa_view


def test_the_view_is_the_recorded_one() -> None:
    view = trepa_view(real_clip())
    assert view.shape == (1, 3, 16, 224, 224)
    with np.load(GOLDEN / "g6_losses.npz") as golden:
        known = golden["trepa_resize_frame0_sub16"]
    assert np.abs(view[0, :, 0, ::16, ::16].numpy() - known).max() <= 1e-6


def test_the_view_is_cut_to_0_and_1() -> None:
    view = trepa_view(torch.linspace(-3, 3, 16).view(1, 1, 16, 1, 1).expand(1, 3, 16, 256, 256))
    assert (view.min().item(), view.max().item()) == (0, 1)


@pytest.mark.parametrize("kind", ["noisy", "time_reversed", "identical"])
def test_losses_and_gradients_are_the_recorded_ones(kind: str) -> None:
    real = real_clip()
    video = {"noisy": noisy_clip(), "time_reversed": real.flip(2), "identical": real.clone()}[kind]
    video.requires_grad_(True)
    loss = trepa_loss(video, real, rule_videomae())
    loss.mean().backward()
    assert video.grad is not None
    known = KNOWN["trepa_small"][kind]
    assert loss.item() == pytest.approx(known["loss"], rel=1e-4, abs=1e-12)
    assert video.grad.norm().item() == pytest.approx(known["grad_norm"], rel=1e-4, abs=1e-12)


def test_every_clip_has_its_own_loss_and_2_minus_2_cos_over_d_is_it() -> None:
    features = {0.0: torch.tensor([[1.0, 0.0], [3.0, 0.0]]), 0.5: torch.tensor([[2.0, 0], [0, 5]])}
    loss = trepa_loss(
        torch.full((2, 3, 16, 8, 8), -1.0),
        torch.zeros(2, 3, 16, 8, 8),
        lambda view: features[view.min().item()],
    )
    assert loss.tolist() == [0, 1]
