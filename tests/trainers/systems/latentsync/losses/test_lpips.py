"""LPIPS of generated frames: lower half, mean over a clip's frames."""

import pytest
import torch
from torch import Tensor

from tests.trainers.frozen.test_lpips_vgg import rule_lpips
from tests.trainers.systems.latentsync.losses.golden_clips import KNOWN, noisy_clip, real_clip
from trainers.systems.latentsync.losses.lpips import lpips_lower_half


def test_the_loss_of_two_frames_is_the_recorded_one() -> None:
    noisy, real = noisy_clip()[:, :, :2], real_clip()[:, :, :2]
    with torch.no_grad():
        loss = lpips_lower_half(noisy, real, rule_lpips())
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(KNOWN["lpips_lower_half"]["mean"], abs=1e-7)


def test_each_clip_has_its_own_mean_and_the_upper_half_plays_no_part() -> None:
    def brightness(one: Tensor, other: Tensor) -> Tensor:
        return (one - other).mean(dim=(1, 2, 3))

    video = torch.zeros(2, 3, 4, 32, 32)
    video[1, :, 2, 16:] = 1
    video[0, :, :, :16] = 5
    loss = lpips_lower_half(video, torch.zeros_like(video), brightness)
    assert loss.tolist() == [0, 0.25]
