"""One member of every sample of the shards, as items of a stage that makes arrays of them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.digest import file_sha256
from pipeline.shards.place import tar_place
from trainers.data.index import TRAINING_MEMBERS, ShardIndex
from trainers.data.range_reads import read_indexed
from trainers.data.shard_urls import indexed_digests
from trainers.errors import TrainingDataError


@dataclass(frozen=True, slots=True)
class ClipMember:
    """The location of one clip's audio or video in its shard; or the error of a broken sample."""

    clip_id: str
    shard: str
    """Path relative to the folder of shards: `train/train-0000-000.tar`."""
    num_frames: int = 0
    fault: str = ""
    url: str = field(default="", repr=False)
    span: tuple[int, int] = (0, 0)
    """Offset and size of the member in bytes."""
    carried: bytes | None = field(default=None, repr=False)
    """The member itself, in a worker."""

    @property
    def item_id(self) -> str:
        """The clip's id, or a name of a broken sample."""
        return f"{self.shard}/{self.clip_id}" if self.fault else self.clip_id

    def content(self) -> bytes:
        """Return the member.

        Raises:
            ShardReadError: the storage refuses, or the shard has become shorter.
        """
        return read_indexed(self.url, *self.span) if self.carried is None else self.carried

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the member instead of its location, which saves memory until then.

        From an object store the worker reads it itself.
        """
        if "://" in self.url and not self.url.startswith("file://"):
            placed = (self.clip_id, self.shard, self.num_frames, self.fault, self.url, self.span)
            return ClipMember, placed
        content = b"" if self.fault else self.content()
        named = (self.clip_id, self.shard, self.num_frames, self.fault, "", self.span, content)
        return ClipMember, named


def clip_members(
    index: ShardIndex, shards: Path, member: Literal["mp4", "flac"]
) -> list[ClipMember]:
    """Return the member of every sample of the shards, broken ones included.

    Raises:
        TrainingDataError: two shards have one name.
    """
    names = [_name_below(url, shards) for url in index.urls]
    full = {name.rsplit("/", 1)[-1]: name for name in names}
    if len(full) < len(names):
        raise TrainingDataError(f"{shards}: two shards have one name")
    place = TRAINING_MEMBERS.index(member)
    good = [
        ClipMember(
            str(clip_id),
            names[shard],
            int(frames),
            url=index.urls[shard],
            span=(int(spans[place][0]), int(spans[place][1])),
        )
        for clip_id, shard, frames, spans in zip(
            index.clip_ids, index.shard_of, index.num_frames, index.spans, strict=True
        )
    ]
    broken = [(*key.rsplit("/", 1), why) for key, why in index.bad.items()]
    return good + [ClipMember(clip_id, full[tar], fault=why) for tar, clip_id, why in broken]


def shard_digests(urls: Sequence[str], shards: Path) -> dict[str, str]:
    """Return the SHA-256 of every shard by its path relative to `shards`."""
    if tar_place(shards).sealed:
        return indexed_digests(shards)
    paths = {_name_below(url, shards): Path(url.removeprefix("file://")) for url in urls}
    with ThreadPoolExecutor() as threads:
        return dict(zip(paths, threads.map(file_sha256, paths.values()), strict=True))


def _name_below(url: str, shards: Path) -> str:
    return url.removeprefix("file://").removeprefix(f"{tar_place(shards).root}/")
