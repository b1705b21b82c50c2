"""Index of the clips of shards: shard, length and byte ranges of each.

Built from the tar headers and the JSON members, once per process, and again if the file system
reports another state of a shard. Reading a clip is then one range read by the worker that needs it.
Of `npz` nothing is read but labels, and these only where `trainers.data.clip_use` skips seconds.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.shard_index.exclusion import Exclusion, exclusion_beside, source_of
from pipeline.shard_index.tar_end import ends_whole
from trainers.data.range_reads import asked, read_indexed
from trainers.errors import LISTED, ShardNotFoundError, ShardReadError

TRAINING_MEMBERS = ("mp4", "flac")
"""Members of a sample that training reads; the JSON is read for the index only."""
SCANNERS = 8
"""Threads that read shards for the index."""
FIX = "`lipforge run shards` makes our own again; fetch others once more"
REMEMBERED = 4
"""Lists of shards whose clips a process keeps: some 100 bytes per clip."""


@dataclass(frozen=True, slots=True)
class ShardContents:
    """The clips of one shard, in tar order."""

    clip_ids: list[str]
    num_frames: list[int]
    spans: list[list[int]]
    """Offset and size in bytes of `mp4`, then of `flac`."""
    crop_px: list[int] = field(default_factory=list)
    """Height and width of the pictures, as the JSON says; 0 where it does not."""
    tiers: list[str] = field(default_factory=list)
    """`base` or `hq`, as the JSON says; empty where it does not."""
    npz_spans: list[list[int]] = field(default_factory=list)
    """Offset and size in bytes of `npz`; 0 where there is none."""
    sources: list[str] = field(default_factory=list)
    """SHA-256 of the film of each."""
    bad: dict[str, str] = field(default_factory=dict)
    """clip_id -> error."""
    torn: str = ""
    """Why the shard is no whole tar."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """All clips for training, numbered across the shards in the order of their URLs."""

    urls: tuple[str, ...]
    shard_of: NDArray[np.int32]
    """(N,) number of the shard."""
    clip_ids: NDArray[np.str_]
    """(N,)"""
    num_frames: NDArray[np.int32]
    """(N,) at 25 fps: of the clip, or of the part of it that is used."""
    first_frame: NDArray[np.int32]
    """(N,) of the part in its clip."""
    clip_frames: NDArray[np.int32]
    """(N,) of the whole clip."""
    spans: NDArray[np.int64]
    """(N, 2, 2): member `mp4`, `flac`; offset, size in bytes."""
    crop_px: NDArray[np.int32]
    """(N,) height and width of the pictures, as the JSON says; 0 where it does not."""
    tiers: NDArray[np.str_]
    """(N,) `base` or `hq`, as the JSON says; empty where it does not."""
    npz_spans: NDArray[np.int64]
    """(N, 2) offset, size in bytes of `npz`; 0 where there is none."""
    too_short: tuple[str, ...]
    """Keys of clips with fewer than the required frames."""
    bad: Mapping[str, str]
    """Key of an unusable sample -> error."""
    skipped: tuple[str, ...] = ()
    """Keys of clips without a long enough run of good seconds (`trainers.data.clip_use`)."""

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
        """Return `shard.tar/clip_id`, of a part with its frames: for messages, and unique."""
        first, frames = int(self.first_frame[clip]), int(self.num_frames[clip])
        part = "" if frames == self.clip_frames[clip] else f"[{first}:{first + frames}]"
        return f"{self.shard_name(clip)}/{self.clip_ids[clip]}{part}"

    def fingerprint(self) -> str:
        """Return a digest of the clips, their sizes and shards; if it differs, batches differ.

        A clip keeps its id when it is cropped, encoded or shifted again, so the sizes of its video
        and audio in bytes are part of it, and where a part of it lies. Independent of paths.
        """
        sizes = self.spans[:, :, 1].tolist()
        rows = zip(self.clip_ids.tolist(), self.num_frames.tolist(), sizes, strict=True)
        facts: list[object] = [list(rows), self.clips_per_shard]
        if (self.num_frames != self.clip_frames).any():
            facts.append(self.first_frame.tolist())
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def index_shards(urls: Sequence[str], min_frames: int = 16) -> ShardIndex:
    """Index shards, several in parallel. Shards that this process has scanned are not read again.

    What an `exclude.json` beside the tars or in the folder above names is left out.

    Args:
        min_frames: shorter clips are omitted, and listed.

    Raises:
        ShardReadError: a shard cannot be opened or read, or is no whole tar.
    """
    with ThreadPoolExecutor(SCANNERS) as threads:
        states = tuple(threads.map(_state, urls))
    return _long_enough(_all_clips(tuple(urls), states, exclusion_beside(urls)), min_frames)


@lru_cache(maxsize=REMEMBERED)
def _all_clips(urls: tuple[str, ...], _states: tuple[str, ...], excluded: Exclusion) -> ShardIndex:
    with ThreadPoolExecutor(SCANNERS) as threads:
        contents = list(threads.map(_contents, urls))
    _require_whole(urls, contents)
    return _joined(urls, contents, excluded)


def _require_whole(urls: Sequence[str], contents: Sequence[ShardContents]) -> None:
    """Fail if a tar is torn: all clips behind that place would be missing."""
    torn = [f"{url}: {one.torn}" for url, one in zip(urls, contents, strict=True) if one.torn]
    if torn:
        more = [f"and {len(torn) - LISTED} more"] if len(torn) > LISTED else []
        listed = "\n  ".join([*torn[:LISTED], *more])
        raise ShardReadError(
            f"{len(torn)} of {len(urls)} shards cannot be used, no whole tar; {FIX}:\n  {listed}"
        )


def _joined(
    urls: Sequence[str], contents: Sequence[ShardContents], excluded: Exclusion
) -> ShardIndex:
    rows = [
        (shard, *clip)
        for shard, one in enumerate(contents)
        for clip, source in zip(
            zip(
                one.clip_ids,
                one.num_frames,
                one.spans,
                one.crop_px,
                one.tiers,
                one.npz_spans,
                strict=True,
            ),
            one.sources,
            strict=True,
        )
        if clip[0] not in excluded.samples and source not in excluded.sources
    ]
    num_frames = np.array([row[2] for row in rows], np.int32)
    return ShardIndex(
        urls=tuple(urls),
        shard_of=np.array([row[0] for row in rows], np.int32),
        clip_ids=np.array([row[1] for row in rows], np.str_),
        num_frames=num_frames,
        first_frame=np.zeros_like(num_frames),
        clip_frames=num_frames,
        spans=np.array([row[3] for row in rows], np.int64).reshape(-1, 2, 2),
        crop_px=np.array([row[4] for row in rows], np.int32),
        tiers=np.array([row[5] for row in rows], np.str_),
        npz_spans=np.array([row[6] for row in rows], np.int64).reshape(-1, 2),
        too_short=(),
        bad={
            f"{_name(url)}/{clip_id}": why
            for url, one in zip(urls, contents, strict=True)
            for clip_id, why in one.bad.items()
            if clip_id not in excluded.samples
        },
    )


def _long_enough(index: ShardIndex, min_frames: int) -> ShardIndex:
    kept = index.num_frames >= min_frames
    short = tuple(index.key(int(clip)) for clip in np.flatnonzero(~kept))
    return replace(taken(index, np.flatnonzero(kept)), too_short=short)


def taken(index: ShardIndex, clips: NDArray[np.integer]) -> ShardIndex:
    """Return an index of some clips, in this order.

    Args:
        clips: (M,) numbers, ascending; a number may stand several times.
    """
    return replace(
        index,
        shard_of=index.shard_of[clips],
        clip_ids=index.clip_ids[clips],
        num_frames=index.num_frames[clips],
        first_frame=index.first_frame[clips],
        clip_frames=index.clip_frames[clips],
        spans=index.spans[clips],
        crop_px=index.crop_px[clips],
        tiers=index.tiers[clips],
        npz_spans=index.npz_spans[clips],
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


def _contents(url: str) -> ShardContents:
    def scanned(fs: Any, path: str) -> ShardContents:
        with fs.open(path, "rb") as stream:
            return _scan(stream)

    return asked(url, scanned)


def _state(url: str) -> str:
    """Return what the file system says of a shard's state: another one if its bytes change."""
    try:
        return asked(url, lambda fs, path: str(fs.ukey(path)))
    except ShardNotFoundError as error:
        raise ShardNotFoundError(f"{error}; {FIX}") from error


def _scan(stream: Any) -> ShardContents:
    contents = ShardContents([], [], [])
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for clip_id, members in _samples(tar):
                _add(contents, tar, clip_id, members)
            whole = ends_whole(tar)
    except tarfile.TarError as error:
        return replace(contents, torn=str(error))
    return contents if whole else replace(contents, torn="its end is missing or damaged")


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Yield (clip_id, members): consecutive members with the same name before the first dot."""
    clip_id, members = "", dict[str, tarfile.TarInfo]()
    for member in tar:
        name, _, suffix = member.name.rsplit("/", 1)[-1].partition(".")
        if name != clip_id and members:
            yield clip_id, members
            members = {}
        clip_id = name
        members[suffix] = member
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
        facts = json.load(stream) if stream else {}
        num_frames = int(facts["num_frames"])
    except (ValueError, KeyError, TypeError, tarfile.TarError) as error:
        contents.bad[clip_id] = f"its JSON has no num_frames: {error!r}"
        return
    contents.clip_ids.append(clip_id)
    contents.num_frames.append(num_frames)
    contents.crop_px.append(_crop_px(facts))
    contents.tiers.append(str(facts.get("tier") or ""))
    npz = members.get("npz")
    contents.npz_spans.append([npz.offset_data, npz.size] if npz else [0, 0])
    contents.sources.append(source_of(facts))
    contents.spans.append(
        [n for m in TRAINING_MEMBERS for n in (members[m].offset_data, members[m].size)]
    )


def _crop_px(facts: Mapping[str, Any]) -> int:
    clip = facts.get("clip")
    found = clip.get("crop_px") if isinstance(clip, dict) else None
    return found if isinstance(found, int) and found > 0 else 0
