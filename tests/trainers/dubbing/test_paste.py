"""Faces go back where they came from, and touch nothing else."""

import cv2
import numpy as np
import pytest

from pipeline.faces import alignment
from trainers.dubbing.paste import Paster, soft_mask
from trainers.systems.latentsync.masks import keep_mask

SIZE = 256


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
    mask, hole = soft_mask(size_px), 1 - keep_mask(size_px)[0, 0].numpy()
    assert mask[hole == 0].max() == 0
    assert mask.max() == 1
    assert np.abs(np.diff(mask, axis=0)).max() < 0.15, "no hard edge"
    assert 0.6 < mask.sum() / hole.sum() < 0.95


@pytest.mark.parametrize("brows", [20.0, 60.0, 150.0])
def test_pixels_outside_of_the_mask_are_bit_identical(brows):
    image, cut = picture(), matrix(brows=brows)
    result = Paster(SIZE).paste(image, np.full((SIZE, SIZE, 3), 255, np.float32), cut)
    changed = (result != image).any(axis=-1)
    assert changed.any()
    assert not (changed & ~repainted(image.shape, cut)).any()


@pytest.mark.parametrize("brows", [20.0, 60.0, 150.0])
def test_a_face_that_was_not_changed_goes_back_without_a_trace(brows):
    image, cut = cv2.GaussianBlur(picture(), (0, 0), 5), matrix(brows=brows)
    face = alignment.warp(image, cut, SIZE).astype(np.float32)
    result = Paster(SIZE).paste(image, face, cut)
    assert np.abs(result.astype(int) - image).max() <= 4
    assert np.abs(result.astype(float) - image).mean() < 0.3


def test_a_face_at_the_border_or_outside_of_the_picture_is_no_error():
    image, face = picture(), np.zeros((SIZE, SIZE, 3), np.float32)
    assert (Paster(SIZE).paste(image, face, matrix(x=470)) != image).any()
    assert np.array_equal(Paster(SIZE).paste(image, face, matrix(x=2000)), image)


def test_the_picture_that_is_given_stays_as_it_is():
    image = picture()
    before = image.copy()
    Paster(SIZE).paste(image, np.zeros((SIZE, SIZE, 3), np.float32), matrix())
    assert np.array_equal(image, before)
