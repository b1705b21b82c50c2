"""Index of the clips of shards: shard, length and byte ranges of each.

Built once from the tar headers and the JSON members; optionally cached in a folder, keyed by each
shard's URL and the state that its file system reports. Reading a clip is then one range read by the
worker that needs it, and `npz` is never read.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import write_text
from trainers.data.range_reads import read_indexed
from trainers.errors import ShardReadError

TRAINING_MEMBERS = ("mp4", "flac")
"""Members of a sample that training reads; the JSON is read for the index only."""
SCANNERS = 8
"""Threads that read shards for the index."""


@dataclass(frozen=True, slots=True)
class ShardContents:
    """The clips of one shard, in tar order."""

    clip_ids: list[str]
    num_frames: list[int]
    spans: list[list[int]]
    """Offset and size in bytes of `mp4`, then of `flac`."""
    bad: dict[str, str] = field(default_factory=dict)
    """clip_id, or "" for the shard itself -> error."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """All clips for training, numbered across the shards in the order of their URLs."""

    urls: tuple[str, ...]
    shard_of: NDArray[np.int32]
    """(N,) number of the shard."""
    clip_ids: NDArray[np.str_]
    """(N,)"""
    num_frames: NDArray[np.int32]
    """(N,) at 25 fps."""
    spans: NDArray[np.int64]
    """(N, 2, 2): member `mp4`, `flac`; offset, size in bytes."""
    too_short: tuple[str, ...]
    """Keys of clips with fewer than the required frames."""
    bad: Mapping[str, str]
    """Key of an unusable sample -> error."""

    def __len__(self) -> int:
        return len(self.shard_of)

    @property
    def clips_per_shard(self) -> list[int]:
        """Number of clips of each shard."""
        return [int(n) for n in np.bincount(self.shard_of, minlength=len(self.urls))]

    def url(self, clip: int) -> str:
        """Return the URL of a clip's shard."""
        return str(self.urls[self.shard_of[clip]])

    def shard_name(self, clip: int) -> str:
        """Return `shard.tar`, without its folder."""
        return _name(self.url(clip))

    def key(self, clip: int) -> str:
        """Return `shard.tar/clip_id`, for messages."""
        return f"{self.shard_name(clip)}/{self.clip_ids[clip]}"

    def fingerprint(self) -> str:
        """Return a digest of the clips, their sizes and shards; if it differs, batches differ.

        A clip keeps its id when it is cropped, encoded or shifted again, so the sizes of its video
        and audio in bytes are part of it. Independent of paths.
        """
        sizes = self.spans[:, :, 1].tolist()
        rows = zip(self.clip_ids.tolist(), self.num_frames.tolist(), sizes, strict=True)
        facts = [list(rows), self.clips_per_shard]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def index_shards(
    urls: Sequence[str], min_frames: int = 16, cache_dir: Path | None = None
) -> ShardIndex:
    """Index shards, several in parallel.

    Args:
        min_frames: shorter clips are omitted, and listed.
        cache_dir: where to store the result for the next start.

    Raises:
        ShardReadError: a shard cannot be opened or read.
    """
    with ThreadPoolExecutor(SCANNERS) as threads:
        contents = list(threads.map(lambda url: _contents(url, cache_dir), urls))
    rows = [
        (shard, clip_id, frames, spans)
        for shard, one in enumerate(contents)
        for clip_id, frames, spans in zip(one.clip_ids, one.num_frames, one.spans, strict=True)
    ]
    kept = [row for row in rows if row[2] >= min_frames]
    names = [_name(url) for url in urls]
    return ShardIndex(
        urls=tuple(urls),
        shard_of=np.array([row[0] for row in kept], np.int32),
        clip_ids=np.array([row[1] for row in kept], np.str_),
        num_frames=np.array([row[2] for row in kept], np.int32),
        spans=np.array([row[3] for row in kept], np.int64).reshape(-1, 2, 2),
        too_short=tuple(f"{names[row[0]]}/{row[1]}" for row in rows if row[2] < min_frames),
        bad={
            f"{name}/{clip_id}": why
            for name, one in zip(names, contents, strict=True)
            for clip_id, why in one.bad.items()
        },
    )


def read_members(url: str, spans: NDArray[np.int64]) -> dict[str, bytes]:
    """Return `mp4` and `flac` of one clip, with one range read.

    Args:
        spans: (2, 2) offset and size in bytes.

    Raises:
        ShardReadError: the storage refuses, or the shard has become shorter.
    """
    begin, end = int(spans[:, 0].min()), int(spans.sum(axis=1).max())
    content = read_indexed(url, begin, end - begin)
    return {
        name: content[offset - begin : offset - begin + size]
        for name, (offset, size) in zip(TRAINING_MEMBERS, spans.tolist(), strict=True)
    }


def _name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _contents(url: str, cache_dir: Path | None) -> ShardContents:
    try:
        fs, path = fsspec.core.url_to_fs(url)
        kept = cache_dir / f"{_stamp(url, fs.ukey(path))}.json" if cache_dir else None
        if kept is not None and kept.is_file():
            return ShardContents(**json.loads(kept.read_text(encoding="utf-8")))
        with fs.open(path, "rb") as stream:
            contents = _scan(stream)
    except (OSError, ValueError) as error:
        raise ShardReadError(f"{url}: cannot be read: {error}") from error
    if kept is not None:
        fields = {name: getattr(contents, name) for name in ShardContents.__slots__}
        write_text(kept, json.dumps(fields))
    return contents


def _stamp(url: str, state: str) -> str:
    return hashlib.sha256(f"{url}\n{state}".encode()).hexdigest()[:32]


def _scan(stream: Any) -> ShardContents:
    contents = ShardContents([], [], [])
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for clip_id, members in _samples(tar, contents.bad):
                _add(contents, tar, clip_id, members)
    except tarfile.TarError as error:
        contents.bad[""] = f"not a whole tar: {error}"
    return contents


def _samples(
    tar: tarfile.TarFile, bad: dict[str, str]
) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Yield (clip_id, members): consecutive members with the same name before the first dot."""
    clip_id, members = "", dict[str, tarfile.TarInfo]()
    try:
        for member in tar:
            name, _, suffix = member.name.rsplit("/", 1)[-1].partition(".")
            if name != clip_id and members:
                yield clip_id, members
                members = {}
            clip_id = name
            members[suffix] = member
    except tarfile.TarError as error:
        bad[""] = f"not a whole tar: {error}"
        members.popitem() if members else None  # its data may be truncated
    if members:
        yield clip_id, members


def _add(
    contents: ShardContents,
    tar: tarfile.TarFile,
    clip_id: str,
    members: Mapping[str, tarfile.TarInfo],
) -> None:
    missing = [name for name in (*TRAINING_MEMBERS, "json") if name not in members]
    if missing:
        contents.bad[clip_id] = f"no member {', '.join(missing)}"
        return
    try:
        stream = tar.extractfile(members["json"])
        num_frames = int(json.load(stream)["num_frames"]) if stream else 0
    except (ValueError, KeyError, TypeError, tarfile.TarError) as error:
        contents.bad[clip_id] = f"its JSON has no num_frames: {error!r}"
        return
    contents.clip_ids.append(clip_id)
    contents.num_frames.append(num_frames)
    contents.spans.append(
        [n for m in TRAINING_MEMBERS for n in (members[m].offset_data, members[m].size)]
    )
