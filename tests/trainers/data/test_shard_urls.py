"""Listing of tars by folder, glob, brace list or split."""

import pytest

from trainers.data.shard_urls import shard_urls, split_urls
from trainers.errors import ShardReadError, TrainingDataError


@pytest.fixture
def shards(tmp_path):
    for shard in range(2):
        (tmp_path / f"train-{shard:04d}-000.tar").touch()
    return tmp_path


def test_a_folder_a_glob_a_brace_list_and_a_file_name_the_same_tars(shards):
    expected = shard_urls(shards)
    assert shard_urls(f"{shards}/*.tar") == expected
    assert shard_urls(f"{shards}/train-{{0000..0001}}-000.tar") == expected
    assert shard_urls([f"{shards}/train-0001-000.tar", shards]) == expected


def test_quiet_clips_are_left_out_and_counted_unless_their_folder_is_named(
    shards, caplog, monkeypatch
):
    talking = shard_urls(shards)
    (shards / "quiet/train").mkdir(parents=True)
    (shards / "quiet/train/train-0000-000.tar").touch()
    caplog.set_level("INFO")
    assert shard_urls(shards) == talking
    assert "1 tars in quiet/ are left out" in caplog.text
    (one,) = shard_urls(shards / "quiet")
    assert one.endswith("quiet/train/train-0000-000.tar")
    assert shard_urls(shards / "quiet/train") == [one]
    monkeypatch.chdir(shards.parent)
    assert shard_urls(shards.name) == talking
    monkeypatch.chdir(shards / "quiet")
    assert shard_urls("train") == [one]


def test_a_name_without_tars_is_an_error(tmp_path):
    with pytest.raises(TrainingDataError, match=r"no \.tar"):
        shard_urls(tmp_path)
    with pytest.raises(TrainingDataError, match=r"no \.tar"):
        shard_urls(tmp_path / "absent.tar")
    with pytest.raises(ShardReadError, match="Protocol not known"):
        shard_urls("nosuchprotocol://x/y.tar")


def test_the_error_of_an_empty_split_has_a_hint(tmp_path):
    with pytest.raises(TrainingDataError, match=r"val: no .tar; .*dvc repro.*select.val_share"):
        split_urls("val", tmp_path)
