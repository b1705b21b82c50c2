"""WebDataset tars with reproducible bytes.

A sample is four members that stand together: `<clip_id>.flac`, `.json`, `.mp4`, `.npz`. Members
carry no time, no owner and no host; samples are sorted by clip_id.
"""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.atomic import replacing

MEMBERS = ("flac", "json", "mp4", "npz")
"""The members of a sample, in the order they stand in the tar."""


@dataclass(frozen=True, slots=True)
class PackedSample:
    """The files of one sample before packing: member suffix -> local path."""

    clip_id: str
    split: str
    bucket: int
    num_frames: int
    files: Mapping[str, Path]

    @property
    def num_bytes(self) -> int:
        """Bytes of all members."""
        return sum(path.stat().st_size for path in self.files.values())


def bucket_of(video_id: str, buckets: int) -> int:
    """Return the bucket of a source: by hash, so that adding a video touches only its own."""
    return int(hashlib.sha256(video_id.encode()).hexdigest()[:8], 16) % buckets


class Packable(Protocol):
    """What is known of a sample before packing."""

    @property
    def clip_id(self) -> str: ...  # noqa: D102 - as PackedSample

    @property
    def split(self) -> str: ...  # noqa: D102

    @property
    def bucket(self) -> int: ...  # noqa: D102

    @property
    def num_bytes(self) -> int: ...  # noqa: D102


OneSample = TypeVar("OneSample", bound=Packable)


def plan_shards(samples: Iterable[OneSample], max_bytes: int) -> list[tuple[str, list[OneSample]]]:
    """Return (shard name, samples): by split and bucket, cut where `max_bytes` is passed.

    Names look like `train/train-0003-000.tar`: bucket 3, first part.
    """
    groups: dict[tuple[str, int], list[OneSample]] = {}
    for sample in sorted(samples, key=lambda one: one.clip_id):
        groups.setdefault((sample.split, sample.bucket), []).append(sample)
    return [
        (f"{split}/{split}-{bucket:04d}-{part:03d}.tar", members)
        for (split, bucket), group in sorted(groups.items())
        for part, members in enumerate(_parts(group, max_bytes))
    ]


def write_shard(path: Path, samples: Sequence[PackedSample]) -> None:
    """Write one tar, at once (temporary file, then rename).

    Raises:
        StorageError: the disk is full or not writable.
    """
    write_tar(
        path,
        [
            (f"{sample.clip_id}.{suffix}", sample.files[suffix])
            for sample in samples
            for suffix in MEMBERS
        ],
    )


def write_tar(path: Path, members: Iterable[tuple[str, Path]]) -> None:
    """Write (name, file) pairs as one tar in their order, at once; equal files give equal bytes.

    Raises:
        StorageError: the disk is full or not writable.
    """
    with (
        replacing(path) as part,
        tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, file in members:
            _add(tar, name, file)


def _parts(group: Sequence[OneSample], max_bytes: int) -> Iterator[list[OneSample]]:
    part: list[OneSample] = []
    filled = 0
    for sample in group:
        if part and filled + sample.num_bytes > max_bytes:
            yield part
            part, filled = [], 0
        part.append(sample)
        filled += sample.num_bytes
    yield part


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size = path.stat().st_size
    member.mode = 0o644
    with path.open("rb") as stream:
        tar.addfile(member, stream)
