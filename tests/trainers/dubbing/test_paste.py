"""Faces go back where they came from, and touch nothing else."""

import cv2
import numpy as np
import pytest

from pipeline.faces import alignment
from trainers.dubbing.paste import Paster, soft_mask
from trainers.talking_face.masks import keep_mask

SIZE = 256
PASTER = Paster(soft_mask(keep_mask(SIZE)))


def picture(height=360, width=480):
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


def matrix(x=240.0, y=150.0, brows=60.0, turn=0.2, size_px=SIZE):
    template = alignment.TEMPLATE - alignment.TEMPLATE.mean(axis=0)
    turned = template @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return alignment.similarity(turned * brows / 114.8 + [x, y], size_px)


def repainted(shape, canvas_matrix, size_px=SIZE):
    """The repaint region in the frame, dilated by a pixel for the interpolation."""
    square = alignment.to_square(canvas_matrix, size_px)
    hole = 1 - keep_mask(size_px)[0, 0].numpy()
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    there = cv2.warpAffine(hole, square, shape[1::-1], flags=flags) > 0
    return cv2.dilate(there.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


@pytest.mark.parametrize("size_px", [256, 512])
def test_the_soft_mask_lies_within_the_repainted_region(size_px):
    mask, hole = soft_mask(keep_mask(size_px)), 1 - keep_mask(size_px)[0, 0].numpy()
    assert mask[hole == 0].max() == 0
    assert mask.max() == 1
    steps = max(np.abs(np.diff(mask, axis=axis)).max() for axis in (0, 1))
    assert steps < 0.2 * SIZE / size_px, "no hard edge"


def new_shares(brows=60.0, turn=0.2):
    """Shares of the repainted region, and of its lower third, that show a wholly new colour."""
    image, cut = np.full((360, 480, 3), 50, np.uint8), matrix(brows=brows, turn=turn)
    aligned = alignment.warp(image, cut, SIZE).astype(np.float32)
    hole = 1 - keep_mask(SIZE)[0, 0].numpy()
    face = np.where(hole[..., None] > 0, np.float32(200), aligned)
    result = PASTER.paste(image, face, cut).astype(float)
    square = alignment.to_square(cut, SIZE)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    there = cv2.warpAffine(hole, square, (480, 360), flags=flags) > 0
    chin = cv2.warpAffine(
        np.where(np.arange(SIZE)[:, None] > 205, hole, 0), square, (480, 360), flags=flags
    )
    new = (result[..., 0] - 50) / 150 > 0.9
    outside = ~cv2.dilate(there.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    assert np.array_equal(result[outside], image[outside])
    steps = max(np.abs(np.diff(result[..., 0], axis=axis)).max() for axis in (0, 1)) / 150
    return new[there].mean(), new[chin > 0].mean(), steps


def test_what_the_model_painted_is_seen_in_most_of_the_region_and_down_to_the_chin():
    all_of_it, chin, steps = new_shares()
    assert all_of_it > 0.75
    assert chin > 0.7
    assert steps < 0.5, "half of the difference in a pixel would be a line"


@pytest.mark.parametrize("brows", [20.0, 60.0, 150.0])
def test_pixels_outside_of_the_mask_are_bit_identical(brows):
    image, cut = picture(), matrix(brows=brows)
    result = PASTER.paste(image, np.full((SIZE, SIZE, 3), 255, np.float32), cut)
    changed = (result != image).any(axis=-1)
    assert changed.any()
    assert not (changed & ~repainted(image.shape, cut)).any()


@pytest.mark.parametrize("brows", [20.0, 60.0, 150.0])
def test_a_face_that_was_not_changed_goes_back_without_a_trace(brows):
    image, cut = cv2.GaussianBlur(picture(), (0, 0), 5), matrix(brows=brows)
    face = alignment.warp(image, cut, SIZE).astype(np.float32)
    result = PASTER.paste(image, face, cut)
    assert np.abs(result.astype(int) - image).max() <= 4
    assert np.abs(result.astype(float) - image).mean() < 0.3


def test_a_face_at_the_border_or_outside_of_the_picture_is_no_error():
    image, face = picture(), np.zeros((SIZE, SIZE, 3), np.float32)
    assert (PASTER.paste(image, face, matrix(x=470)) != image).any()
    assert np.array_equal(PASTER.paste(image, face, matrix(x=2000)), image)


def test_the_picture_that_is_given_stays_as_it_is():
    image = picture()
    before = image.copy()
    PASTER.paste(image, np.zeros((SIZE, SIZE, 3), np.float32), matrix())
    assert np.array_equal(image, before)
