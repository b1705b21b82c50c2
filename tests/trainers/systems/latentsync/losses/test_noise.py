"""Noise of the diffusion model: variance, correlation, order of nothing but the seed."""

import math

import pytest
import torch

from trainers.systems.latentsync.losses.noise import mixed_noise, noise_mse, shared_noise

SHAPE = (2, 4, 16, 32, 32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 3.0])
def test_mixed_noise_has_unit_variance_and_the_stated_correlation(alpha: float) -> None:
    noise = mixed_noise(SHAPE, seeded(), alpha)
    assert noise.var().item() == pytest.approx(1, abs=0.03)
    frames = noise.transpose(0, 2).flatten(1)
    correlation = torch.corrcoef(frames[[0, 9]])[0, 1].item()
    assert correlation == pytest.approx(alpha**2 / (1 + alpha**2), abs=0.03)


def test_clips_share_nothing() -> None:
    noise = mixed_noise(SHAPE, seeded())
    assert abs(torch.corrcoef(noise.flatten(1))[0, 1].item()) < 0.03


def test_one_seed_gives_one_noise() -> None:
    assert torch.equal(mixed_noise(SHAPE, seeded(3)), mixed_noise(SHAPE, seeded(3)))
    assert not torch.equal(mixed_noise(SHAPE, seeded(3)), mixed_noise(SHAPE, seeded(4)))


def test_shared_noise_is_one_picture_per_clip() -> None:
    noise = shared_noise(SHAPE, seeded())
    assert torch.equal(noise[:, :, 0], noise[:, :, 15])
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("alpha", [-1.0, math.inf, math.nan])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        mixed_noise(SHAPE, seeded(), alpha)


def test_the_loss_is_computed_in_float32() -> None:
    noise = torch.full((1, 4, 2, 4, 4), 300.0, dtype=torch.float16)  # squared: beyond float16
    assert noise_mse(noise, torch.zeros_like(noise)).item() == 90000
