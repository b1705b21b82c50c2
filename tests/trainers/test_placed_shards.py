"""Trainers read shards and features from LIPFORGE_SHARDS: a bucket gives what a folder gives."""

import json

import numpy as np
import pytest
import torch

from pipeline.atomic import write_json
from pipeline.digest import file_sha256
from pipeline.shards.reader import read_shards
from tests.object_store import BUCKET, Fault
from tests.trainers.test_features import (  # noqa: F401 - fixtures
    PARAMS,
    SOURCE,
    made_samples,
    quick,
    shards,
)
from trainers import features
from trainers.data.index import index_shards
from trainers.data.indexed_clips import decode_indexed
from trainers.data.shard_urls import curated_urls, split_urls
from trainers.errors import ShardReadError, TrainingDataError
from trainers.sidecar.reader import features_for_loader

URL = f"s3://{BUCKET}/shards"


@pytest.fixture
def placed(shards, store, proxy, monkeypatch, workspace):  # noqa: F811
    """The same shards in a bucket; `data/shards` there has only index.json."""
    monkeypatch.setattr("pipeline.remote.FIRST_WAIT_S", 0.001)
    monkeypatch.setenv("LIPFORGE_SCRATCH", str(workspace / "scratch"))
    names = sorted(path.relative_to(shards).as_posix() for path in shards.rglob("*.tar"))
    for name in names:
        store.put(f"shards/{name}", (shards / name).read_bytes())
    entries = [{"name": name, "sha256": file_sha256(shards / name)} for name in names]
    write_json(workspace / "placed" / "index.json", {"shards": entries})
    monkeypatch.setenv("LIPFORGE_SHARDS", URL)
    return workspace / "placed"


def test_the_loader_reads_the_same_clips(placed, shards, monkeypatch):  # noqa: F811
    there = index_shards(split_urls("train", placed))
    monkeypatch.delenv("LIPFORGE_SHARDS")
    here = index_shards(split_urls("train", shards))
    assert there.fingerprint() == here.fingerprint()
    assert list(there.urls) == [f"{URL}/train/train-0000-000.tar"]
    for clip in range(len(here)):
        one, other = decode_indexed(here, clip), decode_indexed(there, clip)
        np.testing.assert_array_equal(one.frames, other.frames)
        np.testing.assert_array_equal(one.audio, other.audio)


def test_a_busy_store_is_asked_again_and_a_tar_that_is_gone_is_named_with_the_fix(
    placed, proxy, store
):
    index = index_shards(split_urls("train", placed))
    proxy.faults = [Fault("busy", times=2, method="GET")]
    decode_indexed(index, 0)
    proxy.faults = [Fault("busy", method="GET")]
    with pytest.raises(ShardReadError, match=r"train-0000-000.tar: cannot be read"):
        decode_indexed(index, 0)
    proxy.faults = []
    store.delete("shards/train/train-0000-000.tar")
    with pytest.raises(ShardReadError, match=r"train-0000-000.tar: .*`lipforge run shards`"):
        index_shards(split_urls("train", placed))


def test_a_split_without_tars_and_an_absent_index_are_said(placed, workspace):
    with pytest.raises(TrainingDataError, match=r"test: no .tar; run `dvc repro shards`"):
        split_urls("test", placed)
    with pytest.raises(TrainingDataError, match=r"index.json: absent; run `dvc repro shards`"):
        curated_urls(workspace / "nothing")


def test_the_plain_reader_fetches_each_tar_once_and_gives_the_same_samples(placed, proxy):
    def clip_ids():
        return [one.clip_id for one in read_plain(placed)]

    assert clip_ids() == clip_ids() != []
    fetched = [path for method, path in proxy.asked if method == "GET" and path.endswith(".tar")]
    assert len(fetched) == 2


def read_plain(placed):
    import io
    from unittest.mock import patch

    class Sample:
        def __init__(self, sample):
            self.clip_id = sample["__key__"]
            assert io.BytesIO(sample["mp4"]).getbuffer().nbytes

    with patch("pipeline.shards.reader.decode_sample", Sample):
        yield from read_shards(curated_urls(placed))


def test_the_features_lie_beside_the_shards_and_are_those_of_a_folder(
    placed,
    shards,  # noqa: F811
    quick,  # noqa: F811
    workspace,
    store,
    monkeypatch,
):
    features.run(PARAMS, placed, workspace / "there")
    read = features_for_loader(PARAMS.features, workspace / "there", SOURCE)
    index = index_shards(curated_urls(placed))
    arrays = [read(decode_indexed(index, clip)) for clip in range(len(index))]
    assert [path.name for path in sorted((workspace / "there").iterdir())] == [
        "clips.parquet",
        "index.json",
    ]
    monkeypatch.delenv("LIPFORGE_SHARDS")
    features.run(PARAMS, shards, workspace / "here")
    for name in ("index.json", "clips.parquet"):
        assert (workspace / "here" / name).read_bytes() == (workspace / "there" / name).read_bytes()
    for entry in json.loads((workspace / "here" / "index.json").read_text())["shards"]:
        local = (workspace / "here" / entry["name"]).read_bytes()
        assert store.get(f"shards/features/{entry['name']}") == local
    read = features_for_loader(PARAMS.features, workspace / "here", SOURCE)
    index = index_shards(curated_urls(shards))
    for clip, array in enumerate(arrays):
        torch.testing.assert_close(read(decode_indexed(index, clip)), array, rtol=0, atol=0)
