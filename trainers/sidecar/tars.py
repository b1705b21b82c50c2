"""Reproducible writing of tars of arrays beside the shards.

data/features/train/train-0002-000.tar belongs to data/shards/train/train-0002-000.tar and holds
`<clip_id>.npy`, float16, for every clip of it that could be used, sorted by clip id.
"""

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from pipeline.atomic import write_json
from pipeline.engine.cache import Cache
from pipeline.engine.command import counts
from pipeline.engine.outcome import Outcome
from pipeline.shard_index.sidecar import contents_digest
from pipeline.shards.place import tar_place
from pipeline.shards.tar_stage import TarToWrite, WrittenTar, write_tars
from trainers.sidecar.layout import INDEX, ClipArray

Row = TypeVar("Row", bound=ClipArray)


def with_offsets(outcomes: Sequence[Outcome], row_type: type[ClipArray]) -> list[Outcome]:
    """Return the outcomes with the offset of the array in every kept row."""
    offsets = {}
    for _, members in _by_shard(outcomes, row_type):
        end = 0
        for row in members:
            offsets[row.clip_id] = end + tarfile.BLOCKSIZE
            end += tarfile.BLOCKSIZE + _in_blocks(row.num_bytes)
    return [_with_offset(outcome, offsets) for outcome in outcomes]


def write_sidecar(
    outcomes: Sequence[Outcome],
    row_type: type[ClipArray],
    out: Path,
    below: str,
    facts: Mapping[str, Any],
    shards_sha256: Mapping[str, str],
    cache: Cache,
) -> bool:
    """Write the tars that are not there yet, and `index.json`.

    Args:
        row_type: class of the rows of the outcomes.
        below: folder of the tars at $LIPFORGE_SHARDS.
        facts: entries of the index besides counts and tars.
        shards_sha256: name of every shard -> its digest.

    Returns:
        False where an array was damaged in the item cache: they are to be made once more.

    Raises:
        StorageError: a tar could not be written.
    """
    place, shards = tar_place(out, below), dict(_by_shard(outcomes, row_type))
    written = write_tars([_tar(*one) for one in shards.items()], place, cache, below)
    if written is None:
        return False
    for old in out.glob("*/*.tar") if place.sealed else ():
        old.unlink()
    entries = [_entry(written[name], rows, shards_sha256[name]) for name, rows in shards.items()]
    write_json(out / INDEX, {**facts, "clips": counts(outcomes), "shards": entries})
    return True


def _tar(shard: str, rows: Sequence[ClipArray]) -> TarToWrite:
    members = tuple((f"{row.clip_id}.npy", row.artifact) for row in rows)
    return TarToWrite(shard, members, sum(row.num_bytes for row in rows))


def kept_rows(outcomes: Sequence[Outcome], row_type: type[Row]) -> list[Row]:
    """Return the rows of the kept items."""
    return [
        row_type(**one.parts[0].row)
        for one in outcomes
        if one.status == "kept" and one.parts[0].row
    ]


def _by_shard(outcomes: Sequence[Outcome], row_type: type[Row]) -> Iterator[tuple[str, list[Row]]]:
    ordered = sorted(kept_rows(outcomes, row_type), key=lambda row: (row.shard, row.clip_id))
    for shard, members in groupby(ordered, key=lambda row: row.shard):
        yield shard, list(members)


def _with_offset(outcome: Outcome, offsets: Mapping[str, int]) -> Outcome:
    part = outcome.parts[0]
    if outcome.status != "kept" or part.row is None:
        return outcome
    row = {**part.row, "offset_bytes": offsets[part.row["clip_id"]]}
    return replace(outcome, parts=(replace(part, row=row),))


def _in_blocks(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _entry(tar: WrittenTar, rows: Sequence[ClipArray], shard_sha256: str) -> dict[str, Any]:
    return {
        "name": tar.name,
        "sha256": tar.sha256,
        "bytes": tar.num_bytes,
        "contents": contents_digest((row.clip_id, row.artifact) for row in rows),
        "shard_sha256": shard_sha256,
        "samples": len(rows),
        "steps": sum(row.num_steps for row in rows),
    }
