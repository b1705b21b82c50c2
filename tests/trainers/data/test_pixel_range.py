"""Bytes and -1 ... 1, there and back."""

import numpy as np
import pytest
import torch

from trainers.data.pixel_range import signed_from_array, to_bytes, to_levels, to_signed

LEVELS = torch.arange(256, dtype=torch.uint8)


def test_the_ends_and_the_middle_of_the_range():
    assert to_signed(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    assert to_levels(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0.0, 127.5, 255.0]


def test_every_byte_comes_back():
    assert torch.equal(to_bytes(to_signed(LEVELS)), LEVELS)


def test_the_float_operations_are_one_division_and_one_subtraction():
    assert torch.equal(to_signed(LEVELS), LEVELS.float() / 127.5 - 1.0)


def test_scaling_leaves_the_bytes_and_takes_nothing_else():
    before = LEVELS.clone()
    to_signed(LEVELS)
    assert torch.equal(LEVELS, before)
    with pytest.raises(AssertionError):
        to_signed(LEVELS.float())


def test_what_lies_outside_of_the_range_is_clamped():
    assert to_levels(torch.tensor([-2.0, 3.0])).tolist() == [0.0, 255.0]
    assert to_bytes(torch.tensor([-2.0, 3.0])).tolist() == [0, 255]


def test_bytes_are_rounded_half_to_even():
    halves = torch.tensor([126.5, 127.5, 128.5]) / 127.5 - 1
    assert to_levels(halves).tolist() == [126.5, 127.5, 128.5]
    assert to_bytes(halves).tolist() == [126, 128, 128]


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda pixels: pixels[:, ::-1]])
def test_an_array_in_any_layout_becomes_contiguous(layout):
    pixels = layout(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    signed = signed_from_array(pixels)
    assert signed.is_contiguous()
    assert torch.equal(signed, torch.from_numpy(np.ascontiguousarray(pixels)).float() / 127.5 - 1.0)
