"""Columns of a batch: stacked, counted or listed, and the same for every number of workers."""

import pytest
import torch

from trainers.data.collation import collated, interleaved


def items(count, ragged=False):
    return [
        {
            "frames": torch.full((2, 3), number),
            "audio": torch.zeros(number if ragged else 4),
            "start_frame": number,
            "clip_id": f"clip{number}",
        }
        for number in range(count)
    ]


def test_tensors_are_stacked_integers_become_a_tensor_and_the_rest_a_list():
    batch = collated(items(3))
    assert batch["frames"].shape == (3, 2, 3)
    assert batch["start_frame"].tolist() == [0, 1, 2]
    assert batch["clip_id"] == ["clip0", "clip1", "clip2"]


def test_tensors_of_different_shapes_stay_a_list():
    assert [len(one) for one in collated(items(3, ragged=True))["audio"]] == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_columns_of_workers_are_merged_in_the_order_of_positions(workers):
    for ragged in (False, True):
        whole = items(5, ragged)
        parts = [collated(whole[worker::workers]) for worker in range(workers)]
        merged, expected = interleaved(parts, 5), collated(whole)
        assert merged["clip_id"] == expected["clip_id"]
        assert torch.equal(merged["start_frame"], expected["start_frame"])
        assert torch.equal(merged["frames"], expected["frames"])
        assert [len(one) for one in merged["audio"]] == [len(one) for one in expected["audio"]]
