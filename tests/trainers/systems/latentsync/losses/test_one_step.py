"""The DDIM schedule and the one-step estimate are the reference's."""

import numpy as np
import pytest
import torch

from tests.trainers.systems.latentsync.losses.golden_clips import GOLDEN, KNOWN
from trainers.systems.latentsync.losses.one_step import ddim_scheduler, one_step_x0

DRAWS = np.random.default_rng(61)
X0, EPS, ERROR = (DRAWS.standard_normal((2, 4, 16, 4, 4)) for _ in range(3))
CLEAN, NOISE = (torch.from_numpy(part.astype(np.float32)) for part in (X0, EPS))
NOISE_HAT = torch.from_numpy((EPS.astype(np.float32) + 0.1 * ERROR).astype(np.float32))
TIMESTEP = torch.tensor([500, 37])


def test_the_schedule_is_the_recorded_one() -> None:
    scheduler = ddim_scheduler()
    with np.load(GOLDEN / "g6_losses.npz") as golden:
        known = torch.from_numpy(golden["alphas_cumprod"])
    assert (scheduler.alphas_cumprod - known).abs().max() <= 1e-7
    assert float(scheduler.final_alpha_cumprod) == pytest.approx(KNOWN["final_alpha_cumprod"])
    scheduler.set_timesteps(20)
    assert scheduler.timesteps.tolist() == KNOWN["timesteps_20"]


def test_noisy_latents_and_their_estimate_are_the_recorded_ones() -> None:
    scheduler = ddim_scheduler()
    noisy = scheduler.add_noise(CLEAN, NOISE, TIMESTEP)
    guess = one_step_x0(noisy, NOISE_HAT, TIMESTEP, scheduler.alphas_cumprod)
    with np.load(GOLDEN / "g6_losses.npz") as golden:
        assert np.abs(noisy.numpy() - golden["x_t"]).max() <= 1e-6
        assert np.abs(guess.numpy() - golden["pred_x0"]).max() <= 1e-6


@pytest.mark.parametrize("timestep", [0, 500, 999])
def test_the_true_noise_gives_the_clean_latents_back(timestep: int) -> None:
    scheduler = ddim_scheduler()
    steps = torch.full((2,), timestep)
    noisy = scheduler.add_noise(CLEAN, NOISE, steps)
    guess = one_step_x0(noisy, NOISE, steps, scheduler.alphas_cumprod)
    assert (guess - CLEAN).abs().max() <= 2e-5


def test_the_estimate_is_float32_even_under_autocast() -> None:
    scheduler = ddim_scheduler()
    noisy = scheduler.add_noise(CLEAN, NOISE, TIMESTEP)
    plain = one_step_x0(noisy, NOISE_HAT, TIMESTEP, scheduler.alphas_cumprod)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = one_step_x0(noisy, NOISE_HAT, TIMESTEP, scheduler.alphas_cumprod)
    assert torch.equal(plain, cast)
