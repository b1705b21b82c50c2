"""Other shards from the same curated clips, for what curation is to be compared with.

    python -m benchmarks.claims.shard_sets [--data data] [--cache .cache/items] [--out data/claims]

Only clips of films that `select` puts into the split `train` are taken, so that none of them has
anything to do with the held-out clips.

| set | which clips | offset |
|---|---|---|
| `as_detected` | every aligned face clip with a score, whole | left in |
| `latentsync` | whole clips by LatentSync's rule, see `by_latentsync` | whole frames, corrected |
| `uncorrected` | ours | left in |
| `shifted` | ours | corrected, then -6 ... 6 frames of its own, uniform by the clip's id |
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.claims.errors import ClaimsError
from benchmarks.claims.runs import MADE_FOR, Shards
from pipeline.atomic import write_json
from pipeline.digest import canonical_json
from pipeline.engine.cache import Cache, open_cache
from pipeline.errors import DamagedCacheError, LipforgeError
from pipeline.params.curation import SelectParams, load_params
from pipeline.selection.confidence import judge_confidence
from pipeline.selection.rules import Candidate, split_of
from pipeline.shards.labels import ClipSeries
from pipeline.shards.sample import SelectedClip, interval_of, sample_facts, write_streams
from pipeline.shards.tar import MEMBERS, PackedSample, bucket_of, plan_shards, write_tar
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import FPS, Clip, Selected
from pipeline.tables.run_tables import MeasuredClip, RunTables, measured_clips

MAX_OFFSET_FRAMES = 6
"""LatentSync's filter; also the largest shift of the set `shifted`."""
TRAINED_ON = ("flac", "json", "mp4")
"""Members of these samples. Landmarks are left out: the trainer of StableSyncNet reads none, and
they would be half of the bytes."""
BUCKETS = 4
MAX_SHARD_BYTES = 512 * 2**20


def whole_clips(tables: RunTables, params: SelectParams) -> list[tuple[MeasuredClip, Selected]]:
    """Return every measured clip of the training films as a whole, its offset left in.

    Raises:
        ClaimsError: params.yaml splits the films otherwise than the tables do.
    """
    check_split(tables.rows("select", Selected), params)
    found = []
    for one in measured_clips(tables):
        group = Candidate(one.video, one.clip, one.sync, one.quality).group
        if one.sync and one.quality and split_of(group, params) == "train":
            found.append((one, _as_a_whole(one, group)))
    return found


def check_split(rows: Sequence[Selected], params: SelectParams) -> None:
    """Raise ClaimsError unless params.yaml splits the films as the table `select` does."""
    for row in rows:
        if row.split != split_of(row.group, params):
            raise ClaimsError(
                f"data/select: {row.clip_id} is in {row.split}, by params.yaml (select.split_seed, "
                f"shares) in {split_of(row.group, params)}; run `dvc repro shards` first"
            )


def _as_a_whole(one: MeasuredClip, group: str) -> Selected:
    clip, sync = one.clip, one.sync
    assert sync is not None
    return Selected(
        clip_id=clip.clip_id,
        source_clip_id=clip.clip_id,
        video_id=clip.video_id,
        split="train",
        group=group,
        start_frame=clip.start_frame,
        end_frame=clip.end_frame,
        offset_frames=0.0,
        drift_frames=0.0,
        probability=sync.probability or 0.0,
    )


def by_latentsync(one: MeasuredClip, params: SelectParams) -> bool:
    """Return whether LatentSync's rule keeps a clip: a sure judge and at most 6 frames of offset.

    Sure is LSE-C 3 by SyncNet. Where the landmark judge scored, whose numbers are others, it is the
    probability that `select` asks of it.
    """
    assert one.sync is not None
    sure = judge_confidence(one.sync, params).sufficient
    return sure and abs(one.sync.offset_frames) <= MAX_OFFSET_FRAMES


def own_shift(clip_id: str) -> float:
    """Return a whole number of frames, -6 ... 6, by the clip's id."""
    drawn = int(hashlib.sha256(f"shifted|{clip_id}".encode()).hexdigest()[:8], 16)
    return float(drawn % (2 * MAX_OFFSET_FRAMES + 1) - MAX_OFFSET_FRAMES)


def set_as_detected(tables: RunTables, params: SelectParams) -> list[Selected]:
    """Return all clips, nothing corrected."""
    return [row for _, row in whole_clips(tables, params)]


def set_latentsync(tables: RunTables, params: SelectParams) -> list[Selected]:
    """Return what LatentSync's rule keeps, moved by whole frames."""
    return [
        replace(row, offset_frames=float(one.sync.offset_frames))
        for one, row in whole_clips(tables, params)
        if one.sync and by_latentsync(one, params)
    ]


def set_uncorrected(tables: RunTables, params: SelectParams) -> list[Selected]:
    """Return our own choice, nothing corrected."""
    return [replace(row, offset_frames=0.0, drift_frames=0.0) for row in _ours(tables)]


def set_shifted(tables: RunTables, params: SelectParams) -> list[Selected]:
    """Return our own choice, each part off by a shift of its own."""
    return [
        replace(row, offset_frames=row.offset_frames + own_shift(row.clip_id))
        for row in _ours(tables)
    ]


def _ours(tables: RunTables) -> list[Selected]:
    packed = {row["clip_id"] for row in tables.kept("shards")}
    rows = tables.rows("select", Selected)
    return [row for row in rows if row.split == "train" and row.clip_id in packed]


SETS: dict[str, Callable[[RunTables, SelectParams], list[Selected]]] = {
    "as_detected": set_as_detected,
    "latentsync": set_latentsync,
    "uncorrected": set_uncorrected,
    "shifted": set_shifted,
}


def write_set(out: Path, rows: Sequence[Selected], tables: RunTables, cache: Cache) -> float:
    """Write the tars of a set below `out`/train, and no others; return its seconds."""
    measured = {one.clip.clip_id: one for one in measured_clips(tables)}
    with tempfile.TemporaryDirectory() as name:
        samples = [_packed(row, measured[row.source_clip_id], cache, Path(name)) for row in rows]
        for old in out.glob("train/*.tar"):
            old.unlink()
        for shard, members in plan_shards(samples, MAX_SHARD_BYTES):
            write_tar(out / shard, _members(members))
    return sum(one.num_frames for one in samples) / FPS


def _members(samples: Sequence[PackedSample]) -> list[tuple[str, Path]]:
    return [
        (f"{one.clip_id}.{suffix}", one.files[suffix]) for one in samples for suffix in TRAINED_ON
    ]


def _packed(row: Selected, one: MeasuredClip, cache: Cache, folder: Path) -> PackedSample:
    assert one.sync is not None
    assert one.quality is not None
    files = cached_files(one.clip, cache)
    series = ClipSeries.of(one.quality)  # empty: no label is written
    item = SelectedClip(row, one.video, one.clip, one.sync, one.quality, series, files)
    interval = interval_of(item)
    write_streams(item, interval, folder)
    paths = {suffix: folder / f"{row.clip_id}.{suffix}" for suffix in MEMBERS}
    facts = {**sample_facts(item), "num_frames": interval.num_frames}
    paths["json"].write_text(canonical_json(facts), encoding="utf-8")
    bucket = bucket_of(row.video_id, BUCKETS)
    return PackedSample(row.clip_id, "train", bucket, interval.num_frames, paths)


def cached_files(clip: Clip, cache: Cache) -> ClipFiles:
    """Return a clip's files, fetched and checked.

    Raises:
        ClaimsError: the item cache does not have them as they were stored.
    """
    files = ClipFiles.of(clip, cache)
    try:
        for key, name in files.artifacts():
            cache.artifact_path(key, name)
    except DamagedCacheError as error:
        raise ClaimsError(
            f"{cache.place(error.key, error.name)}: {error.what}; it is a file of a clip in the "
            "item cache; name the cache of this curation by --cache or LIPFORGE_CACHE (default "
            ".cache/items), or make its clips again with `lipforge run faces`"
        ) from error
    return files


def main() -> int:
    """Write all sets and say how long they are; return the exit code."""
    parser = argparse.ArgumentParser(description="shards for the claims on curation")
    parser.add_argument("--data", type=Path, default=Path("data"), help="tables of a curation")
    parser.add_argument("--cache", default=None, help="its item cache (.cache/items)")
    parser.add_argument("--out", type=Path, default=Path("data/claims"))
    given = parser.parse_args()
    try:
        _write_all(given.data, given.cache, given.out)
    except LipforgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _write_all(data: Path, items: str | None, out: Path) -> None:
    tables, cache, params = RunTables(data), open_cache(items), load_params().select
    for name, rows_of in SETS.items():
        rows = rows_of(tables, params)
        seconds = write_set(out / name, rows, tables, cache)
        moved = sum(abs(row.offset_frames) > 0 for row in rows)
        print(f"{name}: {len(rows)} clips, {seconds:.0f} s, {moved} of them moved")
    write_json(out / MADE_FOR, Shards(data / "shards", out).facts())


if __name__ == "__main__":
    sys.exit(main())
