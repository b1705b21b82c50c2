"""The gate of the pixel losses: off by default, and never a reweighting of clean clips."""

import pytest
import torch

from trainers.systems.latentsync.losses.one_step import ddim_scheduler
from trainers.systems.latentsync.losses.timestep_gate import TimestepGate, gated_mean

ABAR = ddim_scheduler().alphas_cumprod
STEPS = torch.tensor([0, 250, 500, 501, 999])


def test_the_gate_is_off_unless_asked_for() -> None:
    weights = TimestepGate().weights(STEPS, ABAR)
    assert weights.tolist() == [1, 1, 1, 1, 1]
    loss = torch.rand(5)
    assert torch.equal(gated_mean(loss, weights), loss.mean())


def test_cutoff_drops_clips_above_its_timestep() -> None:
    assert TimestepGate(kind="cutoff").weights(STEPS, ABAR).tolist() == [1, 1, 1, 0, 0]


def test_snr_falls_from_1_to_nearly_0() -> None:
    weights = TimestepGate(kind="snr").weights(STEPS, ABAR)
    assert weights[0] == 1
    assert (weights.diff() <= 0).all()
    assert weights[2].item() == pytest.approx(0.27633 / (1 - 0.27633) / 5, rel=1e-3)
    assert weights[4] < 1e-3


def test_a_dropped_clip_lowers_the_mean_instead_of_raising_the_others() -> None:
    loss = torch.tensor([1.0, 1.0])
    assert gated_mean(loss, torch.tensor([1.0, 0.0])).item() == 0.5


@pytest.mark.parametrize("wrong", [{"max_timestep": 0}, {"snr_ceiling": -1.0}])
def test_an_impossible_gate_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        TimestepGate(**wrong)
