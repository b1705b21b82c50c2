"""Landmarks from shards, and what is said where they are not as they should be."""

import json

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.shards.tar import PackedSample, write_shard
from tests.trainers.data.made_shards import write_sample
from tests.trainers.evaluation.talking_films import opening_curve, write_film, write_films
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls
from trainers.evaluation.mouth_shape import mouth_opening
from trainers.evaluation.stored_landmarks import StoredLandmarks


def test_every_clip_has_its_own_landmarks(tmp_path):
    index = index_shards(shard_urls(write_films(tmp_path, "val", [40, 36])), 32)
    stored = StoredLandmarks(index)
    for number, frames in ((1, 36), (0, 40)):
        found = stored.of(number)
        opening = mouth_opening(found.schema, found.points)
        np.testing.assert_allclose(opening, opening_curve(frames, number), atol=1e-6)
        assert found.matrices.shape == (frames, 2, 3)


def altered(tmp_path, **members) -> StoredLandmarks:
    sample = write_film(tmp_path / "loose", "clip000", 34, 0)
    for suffix, content in members.items():
        sample.files[suffix].write_bytes(content)
    write_shard(tmp_path / "val" / "val-0000-000.tar", [sample])
    return StoredLandmarks(index_shards(shard_urls(tmp_path / "val"), 32))


def test_a_damaged_landmark_file_is_an_error_of_the_clip(tmp_path):
    with pytest.raises(DecodeError, match="landmark file"):
        altered(tmp_path, npz=b"nothing").of(0)


def test_landmarks_of_another_length_are_refused(tmp_path):
    other = write_film(tmp_path / "other", "clip000", 40, 0)
    with pytest.raises(DecodeError, match="40 frames for 34"):
        altered(tmp_path, npz=other.files["npz"].read_bytes()).of(0)


@pytest.mark.parametrize("clip", [{}, {"landmark_schema": "mesh99"}])
def test_an_unknown_schema_is_refused(tmp_path, clip):
    facts = json.dumps({"clip_id": "clip000", "num_frames": 34, "clip": clip}).encode()
    with pytest.raises(DecodeError, match="no landmark schema"):
        altered(tmp_path, json=facts).of(0)


def test_a_clip_without_landmarks_is_named_with_its_fix(tmp_path):
    sample = write_sample(tmp_path / "loose", 0, 34)
    kept = PackedSample(sample.clip_id, "val", 0, 34, sample.files)
    write_shard(tmp_path / "val" / "val-0000-000.tar", [kept])
    stored = StoredLandmarks(index_shards(shard_urls(tmp_path / "val"), 32))
    stored._spans[stored.index.url(0)] = {}
    with pytest.raises(DecodeError, match="dvc repro shards"):
        stored.of(0)
