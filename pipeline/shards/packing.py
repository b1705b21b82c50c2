"""Assignment of samples to shards, and writing of the shards and their index."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json
from pipeline.digest import file_sha256
from pipeline.engine.cache import Cache
from pipeline.engine.outcome import Outcome
from pipeline.params.curation import ShardsParams
from pipeline.shards.tar import MEMBERS, PackedSample, bucket_of, plan_shards, write_shard
from pipeline.tables.rows import FPS, SAMPLE_RATE_HZ, Sample


def with_shard_names(
    outcomes: Sequence[Outcome], params: ShardsParams, cache: Cache
) -> list[Outcome]:
    """Write into every kept row the name of its shard."""
    packed = [
        packed_sample(Sample(**outcome.parts[0].row), params, cache)
        for outcome in outcomes
        if outcome.status == "kept" and outcome.parts[0].row
    ]
    plan = plan_shards(packed, params.max_shard_mb * 2**20)
    shard_of = {one.clip_id: name for name, members in plan for one in members}
    return [_with_shard_name(outcome, shard_of) for outcome in outcomes]


def pack(samples: Sequence[Sample], out: Path, params: ShardsParams, cache: Cache) -> None:
    """Write the tars and index.json; tars of an earlier run are removed.

    Raises:
        StorageError: the disk is full or not writable.
    """
    for old in out.glob("*/*.tar"):
        old.unlink()
    shards: dict[str, list[PackedSample]] = {}
    for one in sorted(samples, key=lambda one: (one.shard, one.clip_id)):
        shards.setdefault(one.shard, []).append(packed_sample(one, params, cache))
    entries = []
    for name, members in shards.items():
        write_shard(out / name, members)
        entries.append(_index_entry(out, name, members))
    index = {"fps": FPS, "sample_rate_hz": SAMPLE_RATE_HZ, "shards": entries}
    write_json(out / "index.json", {**index, "splits": _totals(entries)})


def packed_sample(sample: Sample, params: ShardsParams, cache: Cache) -> PackedSample:
    """Return the sample with the cached paths of its four members and its bucket."""
    names = {suffix: f"{sample.clip_id}.{suffix}" for suffix in MEMBERS}
    files = {s: cache.artifact_path(sample.artifact, name) for s, name in names.items()}
    bucket = bucket_of(sample.video_id, params.buckets)
    return PackedSample(sample.clip_id, sample.split, bucket, sample.num_frames, files)


def _with_shard_name(outcome: Outcome, shard_of: Mapping[str, str]) -> Outcome:
    part = outcome.parts[0]
    if part.row is None or outcome.item_id not in shard_of:
        return outcome
    row = {**part.row, "shard": shard_of[outcome.item_id]}
    return replace(outcome, parts=(replace(part, row=row),))


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
