"""Noise or clean latents: what is learnt, what it implies, how it is sampled."""

import pytest
import torch

from trainers.systems.latentsync.losses.noise import weighted_mse
from trainers.systems.latentsync.losses.one_step import ddim_scheduler
from trainers.systems.latentsync.parametrization import Parametrization
from trainers.systems.latentsync.step_draws import draw_step


def random(seed):
    return torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


CLEAN, NOISE = random(0), random(1)
AT = torch.tensor([100, 900])


@pytest.mark.parametrize("kind", ["epsilon", "x0"])
def test_a_perfect_prediction_implies_the_clean_latents(kind):
    way = Parametrization(kind)
    abar = ddim_scheduler().alphas_cumprod
    share = abar[AT].view(-1, 1, 1, 1, 1)
    noisy = share.sqrt() * CLEAN + (1 - share).sqrt() * NOISE
    found = way.clean(noisy, way.target(CLEAN, NOISE), AT, abar)
    assert torch.allclose(found, CLEAN, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_clean_latents_are_sampled_from_the_last_step_on(steps):
    way = Parametrization("x0")
    scheduler = way.scheduler()
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps[0] == 999
    latents = NOISE
    for timestep in scheduler.timesteps.tolist():
        step = scheduler.step(CLEAN, timestep, latents)
        latents = step.prev_sample
    assert torch.equal(way.last(step), CLEAN), "a network that knows the picture paints it"


def test_noise_is_sampled_as_published():
    scheduler = Parametrization().scheduler()
    scheduler.set_timesteps(20)
    assert scheduler.timesteps[:2].tolist() == [951, 901]


def test_both_share_the_noise_schedule():
    first, second = (Parametrization(k).scheduler() for k in ("epsilon", "x0"))
    assert torch.equal(first.alphas_cumprod, second.alphas_cumprod)


def test_a_power_draws_more_noise_and_one_is_uniform():
    seeds = torch.arange(2000)
    plain = draw_step(seeds, (1, 1, 1, 1), 1.0, 0.0).timesteps.float()
    cubic = draw_step(seeds, (1, 1, 1, 1), 1.0, 0.0, timestep_power=3.0).timesteps.float()
    assert abs(plain.mean() - 500) < 20
    assert abs(cubic.mean() - 750) < 15, "the mean of 1000 u^(1/3)"
    assert cubic.max() <= 999


def test_an_error_outside_of_the_weight_does_not_count():
    weight = torch.zeros(1, 4, 1, 8, 8)
    weight[..., :4, :] = 1
    wrong = CLEAN.clone()
    wrong[..., 4:, :] += 5
    assert weighted_mse(wrong, CLEAN, weight) == 0
    wrong[..., :4, :] += 2
    assert torch.allclose(weighted_mse(wrong, CLEAN, weight), torch.tensor(4.0))
