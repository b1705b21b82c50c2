"""What stands in the shards, seen through the reader that training uses."""

import json
import random
from collections.abc import Sized
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.digest import file_sha256
from pipeline.engine.cache import LocalCache
from pipeline.engine.stage import Reject
from pipeline.judge.choice import evidence_model
from pipeline.judge.curve import JudgeResult, read_curve
from pipeline.media.audio import decode_audio
from pipeline.media.clip_reader import read_arrays
from pipeline.media.encode import write_clip
from pipeline.media.flac import write_flac
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import probe
from pipeline.params.curation import ShardsParams
from pipeline.shards.labels import ClipSeries
from pipeline.shards.packing import pack
from pipeline.shards.quiet_stage import QuietShards
from pipeline.shards.reader import read_shards
from pipeline.shards.sample import SelectedClip, interval_of, write_streams
from pipeline.shards.tar import MEMBERS, PackedSample, bucket_of, plan_shards, write_shard
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import Clip, Quality, SyncScore, Video
from pipeline.validation.sample_checks import facts_fault
from stages.shards import Shards
from tests.media import beep_flash, measure_av_error_s
from tests.pipeline.selection.test_rules import GOOD, candidate, selected_row


def clip_files(source: Path, folder: Path) -> tuple[int, dict[str, Path]]:
    """Do what `faces` does with a file, but for the face."""
    found = probe(source)
    files = {suffix: folder / f"c.{suffix}" for suffix in ("mp4", "flac", "npz")}
    write_clip(files["mp4"], frames_at_25fps(source), crf=14)
    samples = decode_audio(source, found.video_start_s, found.num_frames * 640)
    write_flac(files["flac"], samples, 16_000)
    T = found.num_frames
    landmarks = np.tile(np.arange(T, dtype=np.float32)[:, None, None], (1, 4, 3))
    matrices = np.tile(np.eye(2, 3), (T, 1, 1))
    np.savez_compressed(files["npz"], landmarks=landmarks, matrices=matrices)
    return T, files


def selected(num_frames: int, files: dict[str, Path], offset: int) -> SelectedClip:
    base = candidate("c", offset_frames=offset)
    clip = Clip(**{**as_dict(base.clip), "num_frames": num_frames, "end_frame": num_frames})
    assert base.sync
    row = selected_row(num_frames, offset)
    paths = ClipFiles(clip=clip, video=files["mp4"], landmarks=files["npz"], audio=files["flac"])
    levels = [np.full(num_frames, 0.5, np.float32)] * 3
    return SelectedClip(row, base.video, clip, base.sync, GOOD, ClipSeries(*levels), paths)


def as_dict(row: Clip | SyncScore | Quality | Video) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(row)


@pytest.mark.parametrize("offset", range(-15, 16))
def test_beep_and_flash_meet_in_the_shard_whatever_the_offset_was(tmp_path, offset):
    source = beep_flash(tmp_path / "source.mp4", offset_frames=offset)
    num_frames, files = clip_files(source, tmp_path)
    out = tmp_path / "sample"
    out.mkdir()
    item = selected(num_frames, files, offset)
    write_streams(item, interval_of(item), out)
    members = {suffix: out / f"c.{suffix}" for suffix in MEMBERS}
    write_shard(tmp_path / "s.tar", [PackedSample("c", "train", 0, num_frames, members)])
    (sample,) = read_shards(str(tmp_path / "s.tar"))
    assert len(sample.frames) == num_frames - abs(offset)
    assert len(sample.audio) == 640 * len(sample.frames)
    assert sample.landmarks[0, 0, 0] == max(offset, 0)
    assert abs(measure_av_error_s(sample.frames, sample.audio)) < 0.005


class SaysFive:
    """A landmark judge that measures an offset of five frames with a given probability."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def score(self, landmarks: Sized, audio: object) -> JudgeResult:
        distances = np.full((len(landmarks) - 10, 31), 1.2)
        distances[:, 20] = 0.5
        return replace(read_curve(distances), probability=self.probability)


@pytest.mark.parametrize(
    ("found_by", "probability", "rejected"),
    [("landmark", 0.1, True), ("syncnet", 0.1, False), ("syncnet", 0.9, True)],
)
def test_an_unsure_landmark_judge_does_not_overrule_another(
    tmp_path, found_by, probability, rejected
):
    num_frames, files = clip_files(beep_flash(tmp_path / "source.mp4"), tmp_path)
    item = selected(num_frames, files, 0)
    item = replace(item, sync=replace(item.sync, judge=found_by))
    stage = Shards()
    stage.judge = SaysFive(probability)
    stage.model = evidence_model("landmark")
    out = tmp_path / "out"
    out.mkdir()
    (part,) = stage.process(item, out)
    assert (isinstance(part, Reject) and part.reason == "offset_not_fixed") == rejected
    facts = json.loads((out / "c.json").read_text(encoding="utf-8"))
    assert facts["rescored"]["offset_frames"] == 5


def samples(folder: Path, number: int, video: str = "v") -> list[PackedSample]:
    made = []
    for index in range(number):
        name = f"{video}{index:03d}"
        files = {}
        for suffix in MEMBERS:
            files[suffix] = folder / f"{name}.{suffix}"
            files[suffix].write_bytes(f"{name}{suffix}".encode() * 50)
        made.append(PackedSample(name, "train", bucket_of(f"{video}{index % 7}", 4), 100, files))
    return made


def tars(folder: Path, packed: list[PackedSample], max_bytes: int = 10**9) -> dict[str, str]:
    shas = {}
    for name, members in plan_shards(packed, max_bytes):
        write_shard(folder / name, members)
        shas[name] = file_sha256(folder / name)
    return shas


def test_the_same_samples_in_any_order_give_the_same_tars(tmp_path):
    packed = samples(tmp_path, 30)
    expected = tars(tmp_path / "one", packed)
    random.Random(0).shuffle(packed)
    assert tars(tmp_path / "two", packed) == expected


def test_an_added_video_touches_only_the_tars_of_its_bucket(tmp_path):
    packed = samples(tmp_path, 30)
    before = tars(tmp_path / "one", packed)
    added = samples(tmp_path, 1, video="w")
    after = tars(tmp_path / "two", packed + added)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {f"train/train-{added[0].bucket:04d}-000.tar"}


def test_a_bucket_is_cut_where_the_limit_is_passed_and_nothing_is_lost(tmp_path):
    packed = samples(tmp_path, 30)
    plan = plan_shards(packed, max_bytes=3000)
    assert sorted(one.clip_id for _, members in plan for one in members) == sorted(
        one.clip_id for one in packed
    )
    assert all(sum(one.num_bytes for one in members) <= 3000 for _, members in plan)


def test_a_full_disk_leaves_no_tar(tmp_path, monkeypatch):
    import tarfile

    from pipeline.errors import StorageError

    def full(*_args: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    packed = samples(tmp_path, 2)
    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(StorageError, match="No space left"):
        write_shard(tmp_path / "s.tar", packed)
    assert not list(tmp_path.glob("s.tar*"))


def test_the_index_says_what_lies_in_the_folder(tmp_path):
    from pipeline.tables.rows import Sample

    cache = LocalCache(tmp_path / "cache")
    key = "ab" * 32
    with cache.workdir() as workdir:
        for suffix in MEMBERS:
            (workdir / f"c.{suffix}").write_bytes(b"bytes")
        cache.commit(key, {"status": "kept", "parts": []}, workdir)
    row = Sample(
        clip_id="c",
        source_clip_id="c",
        video_id="v",
        start_frame=0,
        end_frame=100,
        split="val",
        shard="val/val-0001-000.tar",
        tier="hq",
        num_frames=100,
        offset_applied_frames=3.0,
        rescored_offset_frames=0.1,
        rescored_confidence=0.5,
        artifact=key,
    )
    out = tmp_path / "shards"
    pack([row], out, ShardsParams(), cache)
    index = json.loads((out / "index.json").read_text())
    (entry,) = index["shards"]
    assert entry["sha256"] == file_sha256(out / entry["name"])
    assert entry["bytes"] == (out / entry["name"]).stat().st_size
    assert index["splits"] == {
        "val": {"bytes": entry["bytes"], "samples": 1, "seconds": 4.0, "shards": 1}
    }
    assert (entry["tiers"], index["tiers"]) == ({"base": 1, "hq": 1}, {"base": 1, "hq": 1})


def test_a_quiet_clip_is_whole_with_its_sound_and_null_where_nobody_knows(tmp_path):
    num_frames, files = clip_files(beep_flash(tmp_path / "source.mp4"), tmp_path)
    item = selected(num_frames, files, 0)
    row = replace(item.selected, tier="listening", probability=0.3)
    quiet = replace(item, selected=row, rejected_for="not_speaking")
    out = tmp_path / "out"
    out.mkdir()
    (found,) = QuietShards().process(quiet, out)
    assert (found.tier, found.num_frames, found.split) == ("listening", num_frames, row.split)
    assert (out / "c.flac").read_bytes() == files["flac"].read_bytes()
    facts = json.loads((out / "c.json").read_text(encoding="utf-8"))
    unknown = ("offset_applied_frames", "drift_applied_frames", "probability", "sync", "rescored")
    assert [facts[name] for name in unknown] == [None] * 5
    assert (facts["tier"], facts["rejected_for"]) == ("listening", "not_speaking")
    assert facts_fault({**facts, "split": row.split}, "c", row.split) == ""
    assert "sync of a clip that is" in facts_fault({**facts, "sync": {}}, "c", row.split)
    assert np.isnan(read_arrays(out / "c.npz")["sync"]).all()
