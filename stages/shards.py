"""select -> shards: the offset corrected, re-scored through the training reader, packed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.atomic import write_json, write_text
from pipeline.digest import canonical_json, file_sha256
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.manifest import read_rows
from pipeline.engine.outcome import Outcome
from pipeline.engine.stage import Reject, Stage
from pipeline.errors import DecodeError
from pipeline.judge.curve import JudgeResult
from pipeline.judge.landmark.judge import LandmarkJudge, weights_sha256
from pipeline.media.clip_reader import read_arrays, read_audio_int16
from pipeline.media.encode import trim_clip
from pipeline.media.flac import write_flac
from pipeline.params.curation import Params, ShardsParams, load_params
from pipeline.shards.correction import Cut, common_interval
from pipeline.shards.datacard import datacard
from pipeline.shards.tar import (
    MEMBERS,
    PackedSample,
    TrainingSample,
    bucket_of,
    decode_sample,
    plan_shards,
    write_shard,
)
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.funnel import funnel, table_path
from pipeline.tables.rows import (
    FPS,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    Clip,
    Quality,
    Sample,
    Selected,
    SyncScore,
    Video,
)

OUT = DATA / "shards"
MAX_RESIDUAL_FRAMES = 1
SURE_ENOUGH = 0.5
"""More probable than not."""
"""A corrected clip must re-score within this many frames of zero."""


@dataclass(frozen=True, slots=True)
class SelectedClip:
    """A selected clip, all that is known of it, and its three files."""

    selected: Selected
    video: Video
    clip: Clip
    sync: SyncScore
    quality: Quality
    files: ClipFiles


class Shards(Stage[SelectedClip, Sample]):
    """Makes the four members of one sample."""

    name = "shards"
    version = "3"

    def item_id(self, item: SelectedClip) -> str:
        """Return the clip's id."""
        return item.clip.clip_id

    def identity(self, item: SelectedClip) -> Mapping[str, Any]:
        """Return all facts that go into the sample, and the key of its files."""
        return {**facts_of(item), "files": item.clip.artifact}

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the judge that re-scores."""
        return {"landmark_judge": weights_sha256()}

    def artifacts(self, item: SelectedClip) -> Sequence[tuple[str, str]]:
        """Return the clip's three files."""
        return item.files.artifacts()

    def setup(self) -> None:
        """Load the judge."""
        self.judge = LandmarkJudge.load()

    def process(self, item: SelectedClip, workdir: Path) -> Sequence[Sample | Reject] | Reject:
        """Correct, write, read back as training will, score again."""
        cut = common_interval(item.clip.num_frames, item.selected.offset_frames)
        write_streams(item, cut, workdir)
        sample = _read_back(item.clip.clip_id, workdir)
        again = self.judge.score(sample.landmarks, sample.audio)
        facts = {**facts_of(item), "num_frames": cut.num_frames, "rescored": _rescored(again)}
        _member(workdir, item, "json").write_text(canonical_json(facts), encoding="utf-8")
        row = _row(item, cut, again)
        if abs(again.offset_frames) > MAX_RESIDUAL_FRAMES and _has_a_say(item, again):
            detail = f"re-scored at {again.offset_frames} frames after correction"
            return [Reject("offset_not_fixed", detail, row)]
        return [row]


def _has_a_say(item: SelectedClip, again: JudgeResult) -> bool:
    """Say whether the landmark judge may overrule the offset: its own, or when it is rather sure.

    Where another judge found the offset, an answer that is probably wrong is recorded, no more.
    """
    assert again.probability is not None, "the bundled judge is calibrated"
    return item.sync.judge == LandmarkJudge.name or again.probability >= SURE_ENOUGH


def write_streams(item: SelectedClip, cut: Cut, workdir: Path) -> None:
    """Write mp4, flac and npz of the common interval, and the JSON as far as it is known."""
    video = _member(workdir, item, "mp4")
    assert item.files.video is not None, "shards is given the aligned video"
    trim_clip(item.files.video, video, cut.first_video_frame, cut.num_frames)
    sound = cut.audio(read_audio_int16(item.files.audio))
    write_flac(_member(workdir, item, "flac"), sound, SAMPLE_RATE_HZ)
    picked = slice(cut.first_video_frame, cut.first_video_frame + cut.num_frames)
    arrays = read_arrays(item.files.landmarks)
    trimmed: dict[str, Any] = {name: arrays[name][picked] for name in sorted(arrays)}
    np.savez_compressed(_member(workdir, item, "npz"), **trimmed)
    _member(workdir, item, "json").write_text("{}", encoding="utf-8")


def facts_of(item: SelectedClip) -> dict[str, Any]:
    """Return the sample's JSON but for what correcting it adds."""
    clip, sync = asdict(item.clip), asdict(item.sync)
    del clip["artifact"], sync["artifact"]
    return {
        "clip_id": item.clip.clip_id,
        "fps": FPS,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "licence": item.video.licence,
        "split": item.selected.split,
        "group": item.selected.group,
        "offset_applied_frames": item.selected.offset_frames,
        "video": asdict(item.video),
        "clip": clip,
        "sync": sync,
        "quality": asdict(item.quality),
    }


def _read_back(clip_id: str, workdir: Path) -> TrainingSample:
    members = {suffix: (workdir / f"{clip_id}.{suffix}").read_bytes() for suffix in MEMBERS}
    sample = decode_sample({"__key__": clip_id, **members})
    frames, points = len(sample.frames), len(sample.landmarks)
    sound = len(sample.audio) / SAMPLES_PER_FRAME
    if not frames == points == sound:
        raise DecodeError(f"{clip_id}: {frames} frames, {points} landmarks, {sound} audio frames")
    return sample


def _rescored(result: JudgeResult) -> dict[str, Any]:
    """Return what the landmark judge says now, whichever judge `sync` used before."""
    return {
        "judge": LandmarkJudge.name,
        "mode": result.mode,
        "offset_frames": result.offset_frames,
        "offset_subframe": result.offset_subframe,
        "confidence": result.confidence,
        "min_distance": result.min_distance,
    }


def _row(item: SelectedClip, cut: Cut, again: JudgeResult) -> Sample:
    return Sample(
        clip_id=item.clip.clip_id,
        video_id=item.video.video_id,
        split=item.selected.split,
        shard="",
        num_frames=cut.num_frames,
        offset_applied_frames=item.selected.offset_frames,
        rescored_offset_frames=again.offset_frames,
        rescored_confidence=again.confidence,
    )


def _member(workdir: Path, item: SelectedClip, suffix: str) -> Path:
    return workdir / f"{item.clip.clip_id}.{suffix}"


def selected_clips(data: Path, cache: Cache) -> list[SelectedClip]:
    """Join the tables for every clip that `select` kept."""
    videos = {one.video_id: one for one in read_rows(table_path(data, "ingest"), Video)}
    clips = {one.clip_id: one for one in read_rows(table_path(data, "faces"), Clip)}
    sync = {one.clip_id: one for one in read_rows(table_path(data, "sync"), SyncScore)}
    quality = {one.clip_id: one for one in read_rows(table_path(data, "quality"), Quality)}
    return [
        SelectedClip(
            one,
            videos[one.video_id],
            clips[one.clip_id],
            sync[one.clip_id],
            quality[one.clip_id],
            ClipFiles.of(clips[one.clip_id], cache),
        )
        for one in read_rows(table_path(data, "select"), Selected)
    ]


def with_shard_names(
    outcomes: Sequence[Outcome], params: ShardsParams, cache: Cache
) -> list[Outcome]:
    """Write into every kept row the shard it will lie in."""
    packed = [
        packed_sample(Sample(**outcome.parts[0].row), params, cache)
        for outcome in outcomes
        if outcome.status == "kept" and outcome.parts[0].row
    ]
    plan = plan_shards(packed, params.max_shard_mb * 2**20)
    shard_of = {one.clip_id: name for name, members in plan for one in members}
    return [_named(outcome, shard_of) for outcome in outcomes]


def _named(outcome: Outcome, shard_of: Mapping[str, str]) -> Outcome:
    part = outcome.parts[0]
    if part.row is None or outcome.item_id not in shard_of:
        return outcome
    row = {**part.row, "shard": shard_of[outcome.item_id]}
    return replace(outcome, parts=(replace(part, row=row),))


def packed_sample(sample: Sample, params: ShardsParams, cache: Cache) -> PackedSample:
    """Name the four files of a sample and its bucket."""
    names = {suffix: f"{sample.clip_id}.{suffix}" for suffix in MEMBERS}
    files = {s: cache.artifact_path(sample.artifact, name) for s, name in names.items()}
    bucket = bucket_of(sample.video_id, params.buckets)
    return PackedSample(sample.clip_id, sample.split, bucket, sample.num_frames, files)


def pack(samples: Sequence[Sample], out: Path, params: ShardsParams, cache: Cache) -> None:
    """Write the tars and index.json."""
    shards: dict[str, list[PackedSample]] = {}
    for old in out.glob("*/*.tar"):
        old.unlink()
    for one in sorted(samples, key=lambda one: (one.shard, one.clip_id)):
        shards.setdefault(one.shard, []).append(packed_sample(one, params, cache))
    entries = []
    for name, members in shards.items():
        write_shard(out / name, members)
        entries.append(_index_entry(out, name, members))
    index = {"fps": FPS, "sample_rate_hz": SAMPLE_RATE_HZ, "shards": entries}
    write_json(out / "index.json", {**index, "splits": _totals(entries)})


def _index_entry(out: Path, name: str, members: Sequence[PackedSample]) -> dict[str, Any]:
    path = out / name
    return {
        "name": name,
        "split": members[0].split,
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
        "samples": len(members),
        "seconds": sum(one.num_frames for one in members) / FPS,
    }


def _totals(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    totals: dict[str, dict[str, float]] = {}
    for entry in entries:
        total = totals.setdefault(
            entry["split"], {"shards": 0, "samples": 0, "seconds": 0, "bytes": 0}
        )
        total["shards"] += 1
        for name in ("samples", "seconds", "bytes"):
            total[name] += entry[name]
    return totals


def run(params: Params) -> None:
    """Make samples, tars, index, table and data card."""
    cache = open_cache()
    clips = selected_clips(DATA, cache)
    name = partial(with_shard_names, params=params.shards, cache=cache)
    execute(Shards(), clips, table_path(DATA, "shards"), Sample, params, finish=name)
    pack(read_rows(table_path(DATA, "shards"), Sample), OUT, params.shards, cache)
    card = datacard(funnel(DATA), OUT / "index.json", table_path(DATA, "ingest"))
    write_text(OUT / "README.md", card)


def main() -> None:
    """`python -m stages.shards`, called by dvc.yaml."""
    run(load_params())


if __name__ == "__main__":
    run_main(main)
