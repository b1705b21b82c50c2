"""Random shifts of every frame."""

import pytest
import torch

from trainers.systems.latentsync.crop_jitter import jittered


def ramp(clips=2, frames=50):
    columns = torch.linspace(-1, 1, 64)
    return columns.expand(clips, 3, frames, 64, 64).clone()


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_frames_move_by_the_deviation_that_was_asked_for():
    moved = jittered(ramp(), 0.5, generators(0, 1))
    shift = (moved - ramp())[:, 0, :, 32, 20:44].mean(dim=2) / (2 / 63)
    assert shift.shape == (2, 50)
    assert 0.35 < float(shift.std()) < 0.65
    assert abs(float(shift.mean())) < 0.2


def test_a_clip_is_moved_by_its_own_generator_alone():
    both = jittered(ramp(), 0.5, generators(3, 4))
    assert torch.equal(both[1:], jittered(ramp(1), 0.5, generators(4)))


def test_without_jitter_nothing_is_drawn_and_nothing_changes():
    (generator,) = generators(0)
    assert torch.equal(jittered(ramp(1), 0.0, [generator]), ramp(1))
    assert torch.equal(generator.get_state(), generators(0)[0].get_state())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_mixed_precision_moves_no_pixel(precision):
    exact = jittered(ramp(1), 0.5, generators(5))
    with torch.autocast("cpu", precision):
        assert torch.equal(jittered(ramp(1), 0.5, generators(5)), exact)
