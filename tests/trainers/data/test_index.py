"""What the index finds in tars, and what it makes of broken ones."""

import io
import os
import shutil
import tarfile

import fsspec
import pytest

from pipeline.media.flac import write_flac
from pipeline.shards.tar import write_shard
from tests.trainers.data.made_shards import ramp, write_sample, write_shards
from trainers.data.index import index_shards, read_members
from trainers.data.shard_urls import shard_urls
from trainers.errors import ShardReadError


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"), [[20, 40], [18]])


def tar_of(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_clips_are_found_in_their_order_with_their_lengths(shards):
    index = index_shards(shard_urls(shards))
    assert index.clip_ids.tolist() == ["clip000", "clip001", "clip002"]
    assert index.num_frames.tolist() == [20, 40, 18]
    assert index.clips_per_shard == [2, 1]
    assert index.key(2) == "train-0001-000.tar/clip002"
    assert not index.bad


def test_members_are_read_whole_and_alone(shards):
    index = index_shards(shard_urls(shards))
    members = read_members(index.urls[0], index.spans[1])
    loose = shards.parent / "loose"
    assert members["mp4"] == (loose / "clip001.mp4").read_bytes()
    assert members["flac"] == (loose / "clip001.flac").read_bytes()


def test_short_clips_are_left_out_and_listed(shards):
    index = index_shards(shard_urls(shards), min_frames=19)
    assert index.clip_ids.tolist() == ["clip000", "clip001"]
    assert index.too_short == ("train-0001-000.tar/clip002",)


def test_a_store_of_fsspec_serves_as_well_as_a_folder(shards):
    memory = fsspec.filesystem("memory")
    for path in shards.glob("*.tar"):
        memory.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    near, far = (index_shards(shard_urls(where)) for where in (shards, "memory://bucket"))
    assert far.urls[0].startswith("memory://")
    assert far.fingerprint() == near.fingerprint()
    assert read_members(far.urls[1], far.spans[2]) == read_members(near.urls[1], near.spans[2])


def test_the_same_clips_cut_or_encoded_anew_or_packed_otherwise_are_other_data(tmp_path):
    """They keep their ids and lengths, so these alone would let an old run pass for the new one."""
    loose = tmp_path / "loose"
    samples = [write_sample(loose, clip, 20) for clip in (0, 1)]
    seen = set()
    write_shard(tmp_path / "a" / "s-0.tar", samples)
    seen.add(index_shards(shard_urls(tmp_path / "a")).fingerprint())
    for clip, sample in enumerate(samples):
        write_shard(tmp_path / "b" / f"s-{clip}.tar", [sample])
    seen.add(index_shards(shard_urls(tmp_path / "b")).fingerprint())
    write_flac(samples[0].files["flac"], ramp(20) * 3, 16_000)
    write_shard(tmp_path / "c" / "s-0.tar", samples)
    again = index_shards(shard_urls(tmp_path / "c"))
    seen.add(again.fingerprint())
    assert again.clip_ids.tolist() == ["clip000", "clip001"]
    assert again.num_frames.tolist() == [20, 20]
    assert len(seen) == 3


def test_shards_are_scanned_once_per_process_whatever_length_is_needed_until_one_changes(
    tmp_path, monkeypatch
):
    urls = shard_urls(write_shards(tmp_path, [[20, 40], [18]]))
    opened, whole = [], tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda *a, **k: opened.append(1) or whole(*a, **k))
    long, every = index_shards(urls, min_frames=19), index_shards(urls, min_frames=0)
    assert len(opened) == len(urls)
    assert (len(long), len(every), every.too_short) == (2, 3, ())
    assert every.spans[:2].tolist() == long.spans.tolist()
    os.utime(tmp_path / "train" / "train-0001-000.tar", (1, 1))
    assert index_shards(urls, min_frames=0).fingerprint() == every.fingerprint()
    assert len(opened) == 2 * len(urls)


def test_a_sample_without_a_member_or_a_length_is_counted_with_its_key(tmp_path):
    good = {"a.mp4": b"1", "a.flac": b"2", "a.json": b'{"num_frames": 30}'}
    no_sound = {"b.mp4": b"1", "b.json": b'{"num_frames": 30}'}
    no_length = {"c.mp4": b"1", "c.flac": b"2", "c.json": b"{}"}
    tar_of(tmp_path / "s.tar", good | no_sound | no_length)
    index = index_shards(shard_urls(tmp_path))
    assert index.clip_ids.tolist() == ["a"]
    assert set(index.bad) == {"s.tar/b", "s.tar/c"}
    assert "flac" in index.bad["s.tar/b"]
    assert "num_frames" in index.bad["s.tar/c"]


def torn_tars(whole, second):
    """A tar of two clips whose second one begins at the header `second`, in several ways torn."""
    return {
        "cut in a member": whole[: second + 700],
        "cut between members": whole[:second],
        "junk in place of a header": whole[:second] + b"x" * 512 + whole[second + 512 :],
        "four bytes": b"junk",
        "no bytes": b"",
        "no tar": b"no tar at all" * 100,
    }


@pytest.mark.parametrize("how", torn_tars(b"", 0))
def test_a_torn_tar_among_whole_ones_is_named_with_the_fix_and_nothing_begins(
    shards, tmp_path, how
):
    shutil.copytree(shards, tmp_path, dirs_exist_ok=True)
    one = tmp_path / "train-0000-000.tar"
    with tarfile.open(one) as tar:
        second = tar.getmembers()[4]
    assert second.name.startswith("clip001")
    one.write_bytes(torn_tars(one.read_bytes(), second.offset)[how])
    with pytest.raises(ShardReadError, match=r"1 of 2 shards .*`lipforge run shards`") as told:
        index_shards(shard_urls(tmp_path))
    assert str(one) in str(told.value)
    assert "train-0001-000.tar" not in str(told.value)


def test_a_shard_that_shrank_after_indexing_is_the_storages_fault(shards, tmp_path):
    whole = (shards / "train-0000-000.tar").read_bytes()
    (tmp_path / "s.tar").write_bytes(whole)
    index = index_shards(shard_urls(tmp_path))
    (tmp_path / "s.tar").write_bytes(whole[:5000])
    with pytest.raises(ShardReadError, match="changed after"):
        read_members(index.urls[0], index.spans[1])
    (tmp_path / "s.tar").unlink()
    with pytest.raises(ShardReadError, match="cannot be read"):
        read_members(index.urls[0], index.spans[0])
