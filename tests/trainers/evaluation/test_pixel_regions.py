"""Which pixels a reader sees."""

import numpy as np
import pytest

from trainers.evaluation.pixel_regions import kept_region, mouth_region
from trainers.talking_face.masks import keep_mask


@pytest.mark.parametrize("size_px", [32, 64, 96, 256])
def test_the_mouth_is_read_from_generated_pixels_only(size_px):
    kept = keep_mask(size_px)[0, 0].bool().numpy()
    frames = np.full((3, 3, size_px, size_px), 90, np.uint8)
    frames[1][:, kept] = 255
    assert not mouth_region(size_px).levels(frames).any()
    assert kept_region(size_px).levels(frames).any()


@pytest.mark.parametrize("size_px", [32, 64, 96, 256])
def test_what_is_kept_is_read_without_any_generated_pixel(size_px):
    generated = ~keep_mask(size_px)[0, 0].bool().numpy()
    frames = np.full((3, 3, size_px, size_px), 90, np.uint8)
    frames[1][:, generated] = 255
    assert not kept_region(size_px).levels(frames).any()
    assert mouth_region(size_px).levels(frames).any()


def test_the_number_of_features_has_a_limit():
    assert mouth_region(512).features <= 64 * 64 / 4
    assert kept_region(512).features <= 32 * 32


def test_levels_are_luma_relative_to_the_clips_mean():
    frames = np.zeros((2, 3, 64, 64), np.uint8)
    frames[1, 1] = 100
    np.testing.assert_allclose(mouth_region(64).levels(frames)[1], 29.35, atol=1e-4)
