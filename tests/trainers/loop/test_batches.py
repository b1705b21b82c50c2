"""Slices, micro-batches, reading ahead; seeds of items."""

import threading
from itertools import count

import pytest
import torch

from tests.trainers.loop.toy_tasks import SOURCE, batch_at
from trainers.loop.batches import micro_batches, read_ahead
from trainers.loop.seeding import item_integers, item_normal, item_seeds


@pytest.mark.parametrize("size", [1, 2, 3, 5, 12])
def test_ranks_share_every_batch_without_gap_or_repeat(size):
    keys = [SOURCE.batch_at(4, rank, size)["keys"] for rank in range(size)]
    assert sorted(key for some in keys for key in some) == sorted(batch_at(4)["keys"])


def test_micro_batches_are_the_batch_in_order():
    parts = micro_batches(batch_at(0), 5)
    assert [len(part["keys"]) for part in parts] == [5, 5, 2]
    assert torch.equal(torch.cat([part["x"] for part in parts]), batch_at(0)["x"])


def test_an_entry_that_does_not_count_items_is_found():
    with pytest.raises(AssertionError, match="scale"):
        micro_batches({**batch_at(0), "scale": torch.ones(1)}, 5)


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_reading_ahead_changes_no_batch_and_stays_within_its_depth(depth):
    made = []

    def source():
        for step in count():
            made.append(step)
            yield {"keys": [str(step)]}

    with read_ahead(source(), depth) as batches:
        for step in range(20):
            assert next(batches)["keys"] == [str(step)]
            assert len(made) <= step + 1 + depth
    assert not [t for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_an_error_of_the_source_comes_up_at_its_batch():
    def source():
        yield {"keys": ["0"]}
        raise OSError("shard is gone")

    with read_ahead(source(), 3) as batches:
        assert next(batches)["keys"] == ["0"]
        with pytest.raises(OSError, match="shard is gone"):
            next(batches)


def test_leaving_early_closes_the_source():
    closed = []

    def source():
        try:
            while True:
                yield {"keys": ["x"]}
        finally:
            closed.append(True)

    with read_ahead(source(), 2) as batches:
        next(batches)
    assert closed == [True]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_an_item_has_one_seed_whatever_the_number_of_ranks(size):
    whole = item_seeds(0, "items", 7, 0, 1, 12)
    for rank in range(size):
        assert torch.equal(item_seeds(0, "items", 7, rank, size, 12 // size), whole[rank::size])
    assert len(set(whole.tolist())) == 12
    assert not set(whole.tolist()) & set(item_seeds(0, "items", 8, 0, 1, 12).tolist())


def test_noise_of_an_item_depends_on_its_seed_alone():
    seeds = item_seeds(0, "items", 0, 0, 1, 6)
    whole = item_normal(seeds, 3, 8)
    assert torch.equal(torch.cat([item_normal(part, 3, 8) for part in seeds.split(4)]), whole)
    assert torch.equal(item_integers(seeds[2:], 1000), item_integers(seeds, 1000)[2:])
    assert abs(item_normal(item_seeds(0, "items", 1, 0, 1, 500), 20).std().item() - 1) < 0.03
