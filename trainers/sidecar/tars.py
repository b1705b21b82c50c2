"""Reproducible writing of tars of arrays beside the shards.

data/features/train/train-0002-000.tar belongs to data/shards/train/train-0002-000.tar and holds
`<clip_id>.npy`, float16, for every clip of it that could be used, sorted by clip id.
"""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from pipeline.atomic import write_json
from pipeline.digest import digest, file_sha256
from pipeline.engine.cache import Cache
from pipeline.engine.command import counts
from pipeline.engine.outcome import Outcome
from pipeline.shards.tar import write_tar
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


def write_tars(
    outcomes: Sequence[Outcome],
    row_type: type[ClipArray],
    out: Path,
    facts: Mapping[str, Any],
    shards_sha256: Mapping[str, str],
    cache: Cache,
) -> None:
    """Write the tars and `index.json`; an existing tar that is intact and current is kept.

    Args:
        row_type: class of the rows of the outcomes.
        facts: entries of the index besides counts and tars.
        shards_sha256: name of every shard -> its digest.
    """
    known = _known(out / INDEX)
    entries = []
    for shard, members in _by_shard(outcomes, row_type):
        contents = digest({"clips": [[row.clip_id, row.artifact] for row in members]})
        path = out / shard
        if not _is_current(path, known.get(shard), contents):
            names = [(f"{row.clip_id}.npy", row.artifact) for row in members]
            write_tar(path, [(name, cache.artifact_path(key, name)) for name, key in names])
        entries.append(_entry(path, shard, contents, members, shards_sha256[shard]))
    named = {entry["name"] for entry in entries}
    for old in out.glob("*/*.tar"):
        if old.relative_to(out).as_posix() not in named:
            old.unlink()
    write_json(out / INDEX, {**facts, "clips": counts(outcomes), "shards": entries})


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


def _known(index: Path) -> dict[str, Mapping[str, Any]]:
    """Return the entries of an index that an earlier run left."""
    if not index.is_file():
        return {}
    content = json.loads(index.read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in content["shards"]}


def _is_current(path: Path, entry: Mapping[str, Any] | None, contents: str) -> bool:
    same = entry is not None and entry["contents"] == contents and path.is_file()
    return same and entry is not None and file_sha256(path) == entry["sha256"]


def _entry(
    path: Path, shard: str, contents: str, members: Sequence[ClipArray], shard_sha256: str
) -> dict[str, Any]:
    return {
        "name": shard,
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
        "contents": contents,
        "shard_sha256": shard_sha256,
        "samples": len(members),
        "steps": sum(row.num_steps for row in members),
    }
