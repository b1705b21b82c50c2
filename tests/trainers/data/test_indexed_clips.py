"""A number of the index gives that clip: its own picture, sound and names."""

import numpy as np
import pytest

from tests.trainers.data.made_shards import frame_numbers, ramp, write_shards
from trainers.data.index import index_shards
from trainers.data.indexed_clips import decode_indexed
from trainers.data.shard_urls import shard_urls
from trainers.errors import ShardReadError


@pytest.fixture
def index(tmp_path):
    return index_shards(shard_urls(write_shards(tmp_path, [[20, 17], [18]])))


def test_every_number_gives_its_own_clip(index):
    for number, frames in enumerate((20, 17, 18)):
        clip = decode_indexed(index, number)
        assert clip.clip_id == f"clip{number:03d}"
        assert f"{clip.shard}/{clip.clip_id}" == index.key(number)
        assert frame_numbers(clip.frames) == (list(range(frames)), [number] * frames)
        assert np.array_equal(clip.audio, ramp(frames))


def test_frames_are_scaled_to_the_size_asked_for(index):
    assert decode_indexed(index, 2, 48).frames.shape == (18, 3, 48, 48)


def test_a_shard_that_shrank_is_an_error_of_the_storage(index, tmp_path):
    (tmp_path / "train" / "train-0001-000.tar").write_bytes(b"cut off")
    with pytest.raises(ShardReadError, match="changed after"):
        decode_indexed(index, 2)
