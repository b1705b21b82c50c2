"""The held-out clips of an evaluation, with their own and with foreign sound."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.params.training import EvaluateParams
from tests.trainers.data.made_shards import frame_numbers, write_shards
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls
from trainers.evaluation.evaluation_clips import EvaluationClips, foreign_clip


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = write_shards(tmp_path_factory.mktemp("shards"), [[40, 36], [50, 33]])
    return index_shards(shard_urls(folder), 32)


def held_out(index, **named) -> EvaluationClips:
    return EvaluationClips(index, EvaluateParams(**named), 64)


def test_pictures_own_and_foreign_sound_are_equally_long(index):
    for clip in held_out(index, clips=9):
        assert len(clip.own) == len(clip.foreign) == len(clip.frames) * 640
    assert [len(c.frames) for c in held_out(index, clips=9)] == [40, 33, 40, 33]


def test_a_clip_is_cut_to_the_longest_that_is_dubbed(index):
    assert [len(c.frames) for c in held_out(index, clips=1, max_seconds=1.28)] == [32]


def test_foreign_sound_is_another_clips(index):
    for clip in held_out(index, clips=9):
        assert clip.foreign_key != clip.key
        assert clip.key.endswith(f"clip{frame_numbers(clip.frames)[1][0]:03d}")


def test_foreign_sound_is_from_half_the_split_away():
    assert [foreign_clip(n, 5) for n in range(5)] == [2, 3, 4, 0, 1]
    assert foreign_clip(0, 1) is None


def test_a_split_of_one_clip_has_no_foreign_sound(tmp_path):
    alone = index_shards(shard_urls(write_shards(tmp_path, [[34]])), 32)
    (clip,) = held_out(alone)
    assert clip.foreign_key == ""
    assert len(clip.foreign) == 0


def test_the_seed_draws_the_clips_and_the_index_orders_them(index):
    drawn = {tuple(held_out(index, clips=2, seed=seed).selected()) for seed in range(20)}
    assert len(drawn) > 3
    assert all(list(one) == sorted(one) for one in drawn)


def test_a_clip_that_does_not_decode_is_recorded_and_left_out(index):
    wrong = index.num_frames + np.array([0, 1, 0, 0], np.int32)
    clips = held_out(replace(index, num_frames=wrong), clips=9)
    assert len(list(clips)) == 3
    assert list(clips.skipped) == [index.key(1)]
    assert "36 frames" in clips.skipped[index.key(1)]
