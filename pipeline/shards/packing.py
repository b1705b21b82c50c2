"""Assignment of samples to shards, and the index of the shards."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json
from pipeline.engine.cache import Cache
from pipeline.engine.entry import META
from pipeline.engine.outcome import Outcome
from pipeline.errors import DamagedCacheError
from pipeline.params.curation import ShardsParams
from pipeline.shard_index.index_file import FORMAT_VERSION, INDEX
from pipeline.shards.place import tar_place
from pipeline.shards.tar import MEMBERS, bucket_of, plan_shards
from pipeline.shards.tar_stage import TarToWrite, WrittenTar, write_tars
from pipeline.tables.rows import FPS, SAMPLE_RATE_HZ, QuietSample, Sample, counted_tiers

LOOKUP_THREADS = 16


AnySample = Sample | QuietSample


@dataclass(frozen=True, slots=True)
class CachedSample:
    """A sample as it lies in the item cache."""

    row: AnySample
    bucket: int
    num_bytes: int
    """Of its four members."""

    @property
    def clip_id(self) -> str:
        """Its name in the tar."""
        return self.row.clip_id

    @property
    def split(self) -> str:
        """Its split."""
        return self.row.split


def with_shard_names(
    outcomes: Sequence[Outcome],
    params: ShardsParams,
    cache: Cache,
    row_type: type[Sample] | type[QuietSample] = Sample,
) -> list[Outcome]:
    """Write into every kept row the name of its shard."""
    rows = [
        row_type(**outcome.parts[0].row)
        for outcome in outcomes
        if outcome.status == "kept" and outcome.parts[0].row
    ]
    plan = plan_shards(_cached_samples(rows, params, cache), params.max_shard_mb * 2**20)
    shard_of = {one.clip_id: name for name, members in plan for one in members}
    return [_with_shard_name(outcome, shard_of) for outcome in outcomes]


def pack(
    samples: Sequence[AnySample],
    out: Path,
    params: ShardsParams,
    cache: Cache,
    below: str = "",
    owner: str = "shards",
) -> bool:
    """Write the tars that are not there yet, and index.json; those of an earlier run are removed.

    Args:
        below: folder below $LIPFORGE_SHARDS.
        owner: the stage whose tars they are.

    Returns:
        False where a sample was damaged in the item cache: the samples are to be made once more.

    Raises:
        StorageError: a tar could not be written, or the disk is full.
    """
    shards: dict[str, list[AnySample]] = {}
    for row in sorted(samples, key=lambda row: (row.shard, row.clip_id)):
        shards.setdefault(row.shard, []).append(row)
    tars = [_tar(name, members, params.max_shard_mb * 2**20) for name, members in shards.items()]
    place = tar_place(out, below)
    written = write_tars(tars, place, cache, owner)
    if written is None:
        return False
    _remove_unless(out, place.sealed)
    entries = [_index_entry(written[name], members) for name, members in shards.items()]
    write_json(out / INDEX, index_of(entries))
    return True


def index_of(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of index.json for the entries of its shards."""
    have_tiers = bool(entries) and all("tiers" in one for one in entries)
    return {
        "format_version": FORMAT_VERSION,
        "fps": FPS,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "shards": list(entries),
        "splits": _totals(entries),
        **({"tiers": _tier_totals(entries)} if have_tiers else {}),
    }


def tier_counts(tiers: Iterable[str]) -> dict[str, int]:
    """Return how many samples of each tier there are; an hq one counts for base, too."""
    return dict(sorted(Counter(one for tier in tiers for one in counted_tiers(tier)).items()))


def _remove_unless(out: Path, elsewhere: bool) -> None:
    """Remove the tars that lie in the output's folder where they belong elsewhere now."""
    for old in out.glob("*/*.tar") if elsewhere else ():
        old.unlink()


def _cached_samples(
    rows: Iterable[AnySample], params: ShardsParams, cache: Cache
) -> list[CachedSample]:
    """Return the samples with their sizes, as the cache states them: no file is fetched.

    Raises:
        DamagedCacheError: an entry is gone.
    """

    def cached(row: AnySample) -> CachedSample:
        stored = cache.lookup(row.artifact)
        if stored is None:
            raise DamagedCacheError(row.artifact, META, "gone")
        files = stored["files"]
        size = sum(files[f"{row.clip_id}.{suffix}"]["bytes"] for suffix in MEMBERS)
        return CachedSample(row, bucket_of(row.video_id, params.buckets), size)

    with ThreadPoolExecutor(LOOKUP_THREADS) as threads:
        return list(threads.map(cached, rows))


def _tar(name: str, rows: Sequence[AnySample], most_bytes: int) -> TarToWrite:
    members = [(f"{row.clip_id}.{suffix}", row.artifact) for row in rows for suffix in MEMBERS]
    return TarToWrite(name, tuple(members), most_bytes)


def _with_shard_name(outcome: Outcome, shard_of: Mapping[str, str]) -> Outcome:
    part = outcome.parts[0]
    if part.row is None or outcome.item_id not in shard_of:
        return outcome
    row = {**part.row, "shard": shard_of[outcome.item_id]}
    return replace(outcome, parts=(replace(part, row=row),))


def _index_entry(tar: WrittenTar, members: Sequence[AnySample]) -> dict[str, Any]:
    return {
        "name": tar.name,
        "split": members[0].split,
        "sha256": tar.sha256,
        "bytes": tar.num_bytes,
        "samples": len(members),
        "seconds": sum(row.num_frames for row in members) / FPS,
        "tiers": tier_counts(row.tier for row in members),
    }


def _tier_totals(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found = Counter[str]()
    for entry in entries:
        found.update(entry["tiers"])
    return dict(sorted(found.items()))


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
