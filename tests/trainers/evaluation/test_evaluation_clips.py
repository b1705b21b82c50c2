"""The held-out clips of an evaluation, with their own and with foreign sound."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.params.training import EvaluateParams
from tests.trainers.evaluation.talking_films import film as talking_film
from tests.trainers.evaluation.talking_films import opening_curve, write_films
from trainers.data.index import index_shards
from trainers.data.indexed_clips import decode_indexed
from trainers.data.shard_urls import shard_urls
from trainers.dubbing.overlapping_windows import overlapping_windows
from trainers.errors import TrainingDataError
from trainers.evaluation import evaluation_clips
from trainers.evaluation.evaluation_clips import (
    EvaluationClip,
    EvaluationClips,
    foreign_clip,
    held_out_index,
)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = write_films(tmp_path_factory.mktemp("shards"), "val", [40, 36, 50, 33])
    return index_shards(shard_urls(folder), 32)


def audio_of(index, number, clip):
    return decode_indexed(index, number).audio[: len(clip.film) * 640]


def held_out(index, **named) -> EvaluationClips:
    return EvaluationClips(index, EvaluateParams(**named), 64)


def test_pictures_own_and_foreign_sound_are_equally_long(index):
    for clip in held_out(index, clips=9):
        assert len(clip.film.audio) == len(clip.foreign.audio) == len(clip.film) * 640
        assert len(clip.film.opening) == len(clip.foreign.frames) == len(clip.reference)
    assert [len(c.film) for c in held_out(index, clips=9)] == [40, 33, 40, 33]


def test_a_clip_is_cut_to_the_longest_that_is_dubbed(index):
    assert [len(c.film) for c in held_out(index, clips=1, max_seconds=1.28)] == [32]


def test_foreign_sound_is_another_clips(index):
    for clip in held_out(index, clips=9):
        number = int(clip.key[-3:])
        assert clip.foreign_key.endswith(f"clip{(number + 2) % 4:03d}")
        np.testing.assert_array_equal(clip.foreign.audio, audio_of(index, (number + 2) % 4, clip))


def test_the_openings_are_those_of_both_films(index):
    for clip in held_out(index, clips=9):
        for one in (clip.film, clip.foreign):
            expected = opening_curve(int(index.num_frames[int(one.key[-3:])]), int(one.key[-3:]))
            np.testing.assert_allclose(one.opening, expected[: len(one)], atol=1e-6)


@pytest.mark.parametrize("frames", [32, 33, 97])
def test_no_window_holds_a_picture_that_it_has_to_make(frames):
    film = talking_film(frames, 0)
    reference = EvaluationClip(film, None).reference
    for window in overlapping_windows(frames, 16, 4):
        shown = range(window.start, window.end)
        for made in shown:
            assert not any(np.array_equal(reference[k], film.frames[made]) for k in shown)


def test_foreign_sound_is_from_half_the_split_away():
    assert [foreign_clip(n, 5) for n in range(5)] == [2, 3, 4, 0, 1]
    assert foreign_clip(0, 1) is None


def test_a_split_of_one_clip_has_no_foreign_sound(tmp_path):
    alone = index_shards(shard_urls(write_films(tmp_path, "val", [34])), 32)
    (clip,) = held_out(alone)
    assert clip.foreign_key == ""
    assert clip.foreign is None


def test_the_seed_draws_the_clips_and_the_index_orders_them(index):
    drawn = {tuple(held_out(index, clips=2, seed=seed).selected()) for seed in range(20)}
    assert len(drawn) > 3
    assert all(list(one) == sorted(one) for one in drawn)


def test_a_clip_that_does_not_decode_is_recorded_and_left_out(index):
    wrong = index.num_frames + np.array([0, 1, 0, 0], np.int32)
    clips = held_out(replace(index, num_frames=wrong, clip_frames=wrong), clips=9)
    assert [clip.foreign is None for clip in clips] == [False, False, True]
    assert list(clips.skipped) == [index.key(1)]
    assert "36 frames" in clips.skipped[index.key(1)]


def test_both_splits_together_and_each_alone_can_be_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation_clips, "DATA", tmp_path)
    write_films(tmp_path / "shards", "val", [40, 36])
    assert len(held_out_index("held_out")) == 2
    write_films(tmp_path / "shards", "test", [40])
    assert len(held_out_index("held_out")) == 3


def test_clips_that_are_all_too_short_are_no_split(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation_clips, "DATA", tmp_path)
    write_films(tmp_path / "shards", "val", [20])
    with pytest.raises(TrainingDataError, match="no clip of 32 frames"):
        held_out_index("held_out")
