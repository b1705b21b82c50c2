"""Random weights of stand-ins depend on the name alone."""

import torch

from trainers.frozen.stand_ins import seeded_by_name


def draw():
    return torch.randn(4)


def test_a_name_gives_the_same_numbers_whatever_the_seed():
    torch.manual_seed(1)
    first = seeded_by_name("stand-in:a", draw)
    torch.manual_seed(2)
    assert torch.equal(seeded_by_name("stand-in:a", draw), first)
    assert not torch.equal(seeded_by_name("stand-in:b", draw), first)


def test_the_random_state_of_the_run_is_kept():
    before = torch.random.get_rng_state()
    seeded_by_name("stand-in:a", draw)
    assert torch.equal(torch.random.get_rng_state(), before)
