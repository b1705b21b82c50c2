"""Tars at their place, a folder or a bucket: the same bytes, written only where they must be."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.engine.cache import LocalCache
from pipeline.engine.outcome import Outcome, Part
from pipeline.errors import StorageError
from pipeline.params.curation import ShardsParams
from pipeline.shards.packing import pack, with_shard_names
from pipeline.shards.place import SEALS
from pipeline.shards.tar import MEMBERS
from pipeline.tables.rows import Sample
from tests.object_store import BUCKET, Fault

PARAMS = ShardsParams(buckets=3)
URL = f"s3://{BUCKET}/packed"


@pytest.fixture(autouse=True)
def place(workspace, monkeypatch):
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    monkeypatch.setenv("LIPFORGE_SCRATCH", str(workspace))
    monkeypatch.setattr("pipeline.remote.FIRST_WAIT_S", 0.001)


@pytest.fixture
def cache(workspace) -> LocalCache:
    return LocalCache(workspace / "cache")


def stored(cache: LocalCache, clip_id: str, text: str = "") -> Sample:
    key = hashlib.sha256((clip_id + text).encode()).hexdigest()
    with cache.workdir() as folder:
        for suffix in MEMBERS:
            (folder / f"{clip_id}.{suffix}").write_bytes(f"{clip_id}{suffix}{text}".encode() * 99)
        cache.commit(key, {"stage": "shards", "status": "kept", "parts": []}, folder)
    return Sample(
        clip_id=clip_id,
        source_clip_id=clip_id,
        video_id=clip_id[:2],
        start_frame=0,
        end_frame=100,
        split="train",
        shard="",
        num_frames=100,
        offset_applied_frames=3.0,
        rescored_offset_frames=0.1,
        rescored_confidence=0.5,
        artifact=key,
    )


@pytest.fixture
def rows(cache) -> list[Sample]:
    return [stored(cache, f"v{film}c{number}") for film in range(6) for number in range(3)]


def named(rows: list[Sample], cache: LocalCache) -> list[Sample]:
    made = [Outcome(row.clip_id, "kept", (Part("kept", row=asdict(row)),)) for row in rows]
    return [Sample(**one.parts[0].row) for one in with_shard_names(made, PARAMS, cache)]


def packed(rows: list[Sample], cache: LocalCache, out: Path) -> Mapping[str, str]:
    """Pack; return the SHA-256 of every tar by its name, as index.json has it."""
    assert pack(named(rows, cache), out, PARAMS, cache)
    index = json.loads((out / "index.json").read_bytes())
    return {one["name"]: one["sha256"] for one in index["shards"]}


def uploads(proxy) -> list[str]:
    found = [path for method, path in proxy.asked if method == "PUT" and path.endswith(".tar")]
    proxy.asked.clear()
    return found


def test_a_place_changes_no_byte(store, proxy, cache, rows, workspace, monkeypatch):
    local = packed(rows, cache, workspace / "local")
    assert len(local) == 3
    for name, sha256 in local.items():
        assert hashlib.sha256((workspace / "local" / name).read_bytes()).hexdigest() == sha256
    for place in (str(workspace / "elsewhere"), URL):
        monkeypatch.setenv("LIPFORGE_SHARDS", place)
        assert packed(rows, cache, workspace / "out") == local
        index = (workspace / "out" / "index.json").read_bytes()
        assert index == (workspace / "local" / "index.json").read_bytes()
        assert [path.name for path in (workspace / "out").iterdir()] == ["index.json"]
    for name, sha256 in local.items():
        assert hashlib.sha256((workspace / "elsewhere" / name).read_bytes()).hexdigest() == sha256
        assert hashlib.sha256(store.get(f"packed/{name}")).hexdigest() == sha256


def test_a_tar_in_the_bucket_is_written_again_only_if_its_samples_or_its_bytes_changed(
    store, proxy, cache, rows, workspace, monkeypatch
):
    monkeypatch.setenv("LIPFORGE_SHARDS", URL)
    out = workspace / "out"
    before = packed(rows, cache, out)
    assert len(uploads(proxy)) == 3
    assert packed(rows, cache, out) == before
    assert [one for one in proxy.asked if one[0] == "GET" and one[1].endswith(".tar")] == []
    assert uploads(proxy) == []
    changed = packed(rows[1:], cache, out)
    (name,) = [name for name in before if changed[name] != before[name]]
    assert uploads(proxy) == [f"/{BUCKET}/packed/{name}"]
    store.delete(f"packed/{name}")
    assert packed(rows[1:], cache, out) == changed
    assert uploads(proxy) == [f"/{BUCKET}/packed/{name}"]
    store.put(f"packed/{name}", store.get(f"packed/{name}")[:-1] + b"x")
    assert packed(rows[1:], cache, out) == changed
    assert uploads(proxy) == [f"/{BUCKET}/packed/{name}"]
    assert hashlib.sha256(store.get(f"packed/{name}")).hexdigest() == changed[name]


def test_what_a_killed_process_had_begun_to_write_goes_with_the_next_run(cache, rows, workspace):
    out = workspace / "out"
    tars = packed(rows, cache, out)
    whole = sorted(path for path in out.rglob("*") if path.is_file())
    for left in (whole[0].with_suffix(".tar.0a1b2c.part"), out / "index.json.0a1b2c.part"):
        left.write_bytes(b"half")
    assert packed(rows, cache, out) == tars
    assert sorted(path for path in out.rglob("*") if path.is_file()) == whole


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_tar_in_a_folder_is_left_alone_until_it_is_damaged(
    cache, rows, workspace, monkeypatch, elsewhere
):
    out = workspace / "out"
    if elsewhere:
        monkeypatch.setenv("LIPFORGE_SHARDS", str(workspace / "tars"))
    folder = workspace / "tars" if elsewhere else out
    index = packed(rows, cache, out)
    paths = [folder / name for name in index]
    before = [path.stat().st_ino for path in paths]
    packed(rows, cache, out)
    assert [path.stat().st_ino for path in paths] == before
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"x")
    paths[1].unlink()
    assert packed(rows, cache, out) == index
    for path, sha256 in zip(paths, index.values(), strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    assert paths[2].stat().st_ino == before[2]


def test_tars_of_an_earlier_run_go_and_what_is_not_ours_stays(
    store, cache, rows, workspace, monkeypatch
):
    monkeypatch.setenv("LIPFORGE_SHARDS", URL)
    store.put("packed/train/theirs.tar", b"x")
    packed(rows, cache, workspace / "out")
    kept = packed([row for row in rows if row.video_id == "v0"], cache, workspace / "out")
    wanted = [f"{SEALS}/{name}.json" for name in kept] + list(kept) + ["train/theirs.tar"]
    assert store.names("packed/") == sorted(f"packed/{name}" for name in wanted)


@pytest.mark.parametrize("kind", ["busy", "lost", "silent"])
def test_an_upload_is_tried_again(store, proxy, cache, rows, workspace, monkeypatch, kind):
    monkeypatch.setenv("LIPFORGE_SHARDS", URL)
    proxy.faults = [Fault(kind, times=2, method="PUT", path="tar$")]
    index = packed(rows, cache, workspace / "out")
    for name, sha256 in index.items():
        assert hashlib.sha256(store.get(f"packed/{name}")).hexdigest() == sha256


def test_a_store_that_stays_busy_stops_the_stage_with_the_tar_and_the_next_run_goes_on(
    store, proxy, cache, rows, workspace, monkeypatch
):
    monkeypatch.setenv("LIPFORGE_SHARDS", URL)
    proxy.faults = [Fault("busy", method="PUT", path="0001-000.tar$")]
    said = r"1 of 3 tars are not written; .*0001-000.tar: unreadable: .*uploaded: HTTP 503; run"
    with pytest.raises(StorageError, match=said):
        packed(rows, cache, workspace / "out")
    assert len(uploads(proxy)) == 2 + 4
    assert not (workspace / "out" / "index.json").exists()
    proxy.faults = []
    packed(rows, cache, workspace / "out")
    assert len(uploads(proxy)) == 1


def test_a_sample_damaged_in_the_cache_is_packed_nowhere_and_forgotten(
    cache, rows, workspace, capsys
):
    path = cache.place(rows[0].artifact, f"{rows[0].clip_id}.mp4")
    path.write_bytes(b"x" * path.stat().st_size)
    assert not pack(named(rows, cache), workspace / "out", PARAMS, cache)
    assert "damaged in the item cache" in capsys.readouterr().err
    assert cache.lookup(rows[0].artifact) is None
    assert not (workspace / "out" / "index.json").exists()
    stored(cache, rows[0].clip_id)
    assert len(packed(rows, cache, workspace / "out")) == 3


def test_the_plan_follows_the_sizes_in_the_cache_and_opens_no_sample(cache, rows, monkeypatch):
    monkeypatch.setattr(cache, "artifact_path", None)
    assert {one.shard for one in named(rows, cache)} == {
        f"train/train-{bucket:04d}-000.tar" for bucket in range(PARAMS.buckets)
    }
