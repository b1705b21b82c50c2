"""SSIM and PSNR of whole pictures and of their lower half."""

import numpy as np
import pytest

from tests.golden_rules import rule_frames
from trainers.evaluation.image_similarity import image_similarity


@pytest.fixture(scope="module")
def real():
    return rule_frames(3, 48, 40, seed=1).transpose(0, 3, 1, 2)


@pytest.fixture(scope="module")
def noisy(real):
    noise = np.random.default_rng(0).integers(-20, 21, real.shape)
    return np.clip(real + noise, 0, 255).astype(np.uint8)


def test_a_clip_equals_itself(real):
    scores = image_similarity(real, real)
    assert scores["ssim"] == pytest.approx(1, abs=1e-6)
    assert scores["ssim_lower_half"] == pytest.approx(1, abs=1e-6)
    assert scores["psnr_db"] == scores["psnr_lower_half_db"] == pytest.approx(58.92, abs=0.01)


def test_one_equal_frame_does_not_make_the_mean_infinite(real, noisy):
    mixed = np.concatenate([real[:1], noisy[1:]])
    alone = [image_similarity(real[n : n + 1], noisy[n : n + 1])["psnr_db"] for n in (1, 2)]
    expected = (58.92 + sum(alone)) / 3
    assert image_similarity(real, mixed)["psnr_db"] == pytest.approx(expected, abs=0.01)


def test_both_agree_with_scikit_image(real, noisy):
    metrics = pytest.importorskip("skimage.metrics")
    how = {"channel_axis": 0, "gaussian_weights": True, "sigma": 1.5, "data_range": 255}
    pairs = list(zip(real, noisy, strict=True))
    similar = [
        metrics.structural_similarity(a, b, use_sample_covariance=False, **how) for a, b in pairs
    ]
    noise = [metrics.peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    scores = image_similarity(real, noisy)
    assert scores["ssim"] == pytest.approx(np.mean(similar), abs=1e-5)
    assert scores["psnr_db"] == pytest.approx(np.mean(noise), abs=1e-4)


def test_a_difference_of_one_level_is_48_db(real):
    darker = np.clip(real, 1, 255)
    assert image_similarity(darker, darker - 1)["psnr_db"] == pytest.approx(48.1308, abs=1e-3)


def test_what_happens_in_the_upper_half_leaves_the_lower_halfs_numbers(real):
    other = real.copy()
    other[:, :, :14] = 255 - other[:, :, :14]
    scores = image_similarity(real, other)
    assert scores["ssim"] < 0.9
    assert scores["ssim_lower_half"] == pytest.approx(1, abs=1e-6)
    assert scores["psnr_lower_half_db"] == pytest.approx(58.92, abs=0.01)


def test_clips_of_different_length_are_refused(real):
    with pytest.raises(ValueError, match="frames to compare"):
        image_similarity(real, real[:2])
