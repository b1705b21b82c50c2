"""Tars, their indexes and tables written again without the samples of a film."""

import tarfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.atomic import write_json
from pipeline.digest import file_sha256
from pipeline.engine.manifest import each_row
from pipeline.engine.sorted_table import SortedTable
from pipeline.media.clip_reader import read_facts
from pipeline.scratch import local_scratch, scratch_folder
from pipeline.shard_index.index_file import INDEX, read_index
from pipeline.shard_index.sidecar import contents_digest
from pipeline.shards.packing import index_of, tier_counts
from pipeline.shards.place import TarPlace
from pipeline.shards.tar import write_tar
from pipeline.sources import local_copy
from pipeline.tables.rows import FPS
from pipeline.takedown.target import Target, tables_below
from pipeline.takedown.traces import Traces

TABLE = "clips.parquet"
"""Of arrays beside the shards."""


@dataclass(frozen=True, slots=True)
class TarNow:
    """A tar as it lies at its place after the takedown."""

    sha256: str
    num_bytes: int
    members: Mapping[str, int]
    """Name -> offset of its content."""
    frames: int
    """Of the samples' JSON; 0 in a tar that has none."""
    tiers: tuple[str, ...] = ()
    """Of the samples, as far as their JSON names one."""


def without_clips(place: TarPlace, name: str, clips: Collection[str]) -> TarNow | None:
    """Write a tar again if it has one of the clips; None where nothing remains, and it is removed.

    Raises:
        UnreadableError: the store refuses.
        StorageError: the disk is full or not writable.
    """
    if place.absent([name]):
        return None
    with local_copy(place.url(name)) as path, scratch_folder(local_scratch()) as folder:
        kept = _unpacked(path, clips, folder)
        if kept is None:
            return _now(path)
        if not kept:
            place.remove(name)
            return None
        place.write(name, folder, lambda part: write_tar(part, kept))
    with local_copy(place.url(name)) as path:
        return _now(path)


def _unpacked(path: Path, clips: Collection[str], folder: Path) -> list[tuple[str, Path]] | None:
    """Unpack the members of other clips; None where the tar has none of these."""
    with tarfile.open(path, "r:") as tar:
        names = [one.name for one in tar]
        if not any(_clip_of(one) in clips for one in names):
            return None
        kept = []
        for number, member in enumerate(tar.getmembers()):
            content = tar.extractfile(member)
            if content is None or _clip_of(member.name) in clips:
                continue
            file = folder / f"member-{number}"
            file.write_bytes(content.read())
            kept.append((member.name, file))
    return kept


def _clip_of(member: str) -> str:
    return member.rsplit("/", 1)[-1].partition(".")[0]


def _now(path: Path) -> TarNow:
    members, frames, tiers = {}, 0, list[str]()
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            members[member.name] = member.offset_data
            content = tar.extractfile(member) if member.name.endswith(".json") else None
            facts = read_facts(content.read()) if content else {}
            frames += facts.get("num_frames", 0)
            tiers += [facts["tier"]] if "tier" in facts else []
    return TarNow(file_sha256(path), path.stat().st_size, members, frames, tuple(tiers))


def rewrite_shards(
    folder: Path, place: TarPlace, shards: Collection[str], clips: Collection[str]
) -> None:
    """Take the clips out of their tars and bring index.json up to date; the others stay.

    Raises: as `without_clips`; ManifestError: there is no index.
    """
    index = read_index(str(folder))
    entries = _rewritten(index["shards"], place, shards, clips, _shard_facts)
    write_json(folder / INDEX, index_of(entries))


def _shard_facts(now: TarNow) -> dict[str, Any]:
    samples = sum(name.endswith(".json") for name in now.members)
    counted = {"tiers": tier_counts(now.tiers)} if now.tiers else {}
    return {"samples": samples, "seconds": now.frames / FPS, **counted}


def _rewritten(
    entries: Sequence[Mapping[str, Any]],
    place: TarPlace,
    shards: Collection[str],
    clips: Collection[str],
    facts: Callable[[TarNow], Mapping[str, Any]],
) -> list[dict[str, Any]]:
    made = []
    for entry in entries:
        now = without_clips(place, entry["name"], clips) if entry["name"] in shards else None
        if entry["name"] not in shards:
            made.append(dict(entry))
        elif now:
            written = {"sha256": now.sha256, "bytes": now.num_bytes}
            made.append({**entry, **written, **facts(now)})
    return made


def rewrite_sidecar(
    folder: Path, place: TarPlace, target: Target, shards_sha256: Mapping[str, str]
) -> None:
    """Do the same for arrays beside the shards: tars, offsets in the table, index.

    Args:
        folder: of the table `clips.parquet` and the index; nothing is done where there is none.
        shards_sha256: name of every shard -> its digest now.

    Raises: as `without_clips`.
    """
    table = folder / TABLE
    if not (folder / INDEX).is_file() or not table.is_file():
        return
    index = read_index(str(folder))
    clips, shards = target.clip_ids, target.shards
    offsets: dict[str, int] = {}

    def facts(now: TarNow) -> dict[str, Any]:
        offsets.update({_clip_of(name): at for name, at in now.members.items()})
        rows = [row for row in each_row(table) if row["clip_id"] in map(_clip_of, now.members)]
        rows.sort(key=lambda row: str(row["clip_id"]))
        contents = contents_digest((row["clip_id"], row["artifact"]) for row in rows)
        steps = sum(row["num_steps"] for row in rows)
        return {"contents": contents, "samples": len(rows), "steps": steps}

    entries = _rewritten(index["shards"], place, shards, clips, facts)
    for entry in entries:
        entry["shard_sha256"] = shards_sha256.get(entry["name"], entry["shard_sha256"])

    def moved(row: Mapping[str, Any]) -> Mapping[str, Any]:
        at = offsets.get(row["clip_id"] or "")
        return row if at is None else {**row, "offset_bytes": at}

    rewrite_table(table, target, moved)
    counted = dict.fromkeys(index.get("clips", {}), 0)
    for row in each_row(table, {"status"}):
        counted[row["status"]] = counted.get(row["status"], 0) + 1
    write_json(folder / INDEX, {**index, "clips": counted, "shards": entries})


def _without_names(row: Mapping[str, Any], traces: Traces) -> Mapping[str, Any]:
    detail = row.get("detail")
    return {**row, "detail": traces.taken_out(detail)} if detail else row


def rewrite_tables(data: Path, target: Target) -> int:
    """Take the films' rows out of every table; return how many rows these were.

    Raises:
        StorageError: the disk is full or not writable.
    """
    return sum(rewrite_table(table, target) for table in tables_below(data))


def rewrite_table(
    path: Path, target: Target, change: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
) -> int:
    """Write a table again without the films' rows; return how many these were.

    Where the reason of another row names one of the films (`near_duplicate`, `of CLIP`), the name
    goes.

    Args:
        change: makes each other row what it is to be.
    """
    gone, changed, kept = 0, False, SortedTable(path, pq.read_schema(path))
    traces = Traces.of(target, frozenset())
    for row in each_row(path):
        if target.has(row):
            gone += 1
            continue
        made = _without_names(change(row), traces)
        changed |= made != row
        kept.add([made])
    if gone or changed:
        kept.write(path)
    return gone
