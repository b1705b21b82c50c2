"""What the pre-flight needs of the samples' JSON: speaker, judge, offsets.

Read by small range reads, several shards at once: the JSON stands between sound and picture.
"""

import io
import json
import math
import tarfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np

from trainers.data.index import SCANNERS, ShardIndex
from trainers.errors import ShardReadError

_BLOCK = 512
"""Bytes of a tar block (POSIX ustar)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleMetadata:
    """One clip; what its JSON lacks is empty or None."""

    clip_id: str
    num_frames: int
    source: str = ""
    """SHA-256 of the video it was cut from."""
    speaker: str = ""
    person: str = ""
    """Who is to be seen, by embeddings (docs/people.md)."""
    group: str = ""
    """What the split was drawn by: `speaker:<name>`, `source:<video_id>` or `person:<name>`."""
    language: str = ""
    judge: str = ""
    probability: float | None = None
    """That the offset is right within a frame: the landmark judge's."""
    confidence: float | None = None
    """Of the judge named; SyncNet's is LSE-C."""
    offset_frames: int | None = None
    """Audio lead that the judge found, at 25 fps; positive = audio early."""
    applied_frames: float | None = None
    """What was taken out of it: the offset of the clip's part, as all clips of the film say."""
    residual_frames: int | None = None
    """Audio lead that the landmark judge found afterwards."""
    residual_subframe: float | None = None
    crop_px: int | None = None
    face_px: float | None = None
    """Longer side of the face in the source."""


def read_sample_metadata(index: ShardIndex) -> list[SampleMetadata]:
    """Return the facts of every clip, in the order of the index.

    A clip without a readable JSON between its sound and its picture has none but its length.

    Raises:
        ShardReadError: a shard cannot be read.
    """
    with ThreadPoolExecutor(SCANNERS) as threads:
        parts = list(threads.map(lambda shard: _of_shard(index, shard), range(len(index.urls))))
    return [facts for part in parts for facts in part]


def parse_metadata(clip_id: str, num_frames: int, content: Mapping[str, Any]) -> SampleMetadata:
    """Take what is needed from a sample's JSON (docs/shards.md)."""
    sync, rescored, clip, video = (
        _section(content, name) for name in ("sync", "rescored", "clip", "video")
    )
    return SampleMetadata(
        clip_id=clip_id,
        num_frames=num_frames,
        source=_text(video, "video_id"),
        speaker=_text(video, "speaker"),
        person=_text(content, "person"),
        group=_text(content, "group"),
        language=_text(video, "language"),
        judge=_text(sync, "judge"),
        probability=_number(sync, "probability"),
        confidence=_number(sync, "confidence"),
        offset_frames=_whole(sync, "offset_frames"),
        applied_frames=_number(content, "offset_applied_frames"),
        residual_frames=_whole(rescored, "offset_frames"),
        residual_subframe=_number(rescored, "offset_subframe"),
        crop_px=_whole(clip, "crop_px"),
        face_px=_number(clip, "face_px"),
    )


def _of_shard(index: ShardIndex, shard: int) -> list[SampleMetadata]:
    clips = np.flatnonzero(index.shard_of == shard).tolist()
    texts = _between(index.urls[shard], [index.spans[clip].tolist() for clip in clips])
    return [
        parse_metadata(str(index.clip_ids[clip]), int(index.num_frames[clip]), _json_of(text))
        for clip, text in zip(clips, texts, strict=True)
    ]


def _between(url: str, spans: Sequence[list[list[int]]]) -> list[bytes]:
    """Return, for every clip, the bytes from the end of its first member to its second one."""
    ends = [(_whole_blocks(sum(min(pair))), max(pair)[0]) for pair in spans]
    try:
        fs, path = fsspec.core.url_to_fs(url)
        starts, stops = [one[0] for one in ends], [one[1] for one in ends]
        read: list[bytes] = fs.cat_ranges([path] * len(ends), starts, stops, on_error="raise")
    except (OSError, ValueError) as error:
        raise ShardReadError(f"{url}: cannot be read: {error}") from error
    return read


def _whole_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _json_of(block: bytes) -> Mapping[str, Any]:
    try:
        with tarfile.open(fileobj=io.BytesIO(block), mode="r:") as tar:
            for member in tar:
                if member.name.endswith(".json") and (stream := tar.extractfile(member)):
                    content = json.load(stream)
                    return content if isinstance(content, dict) else {}
    except (tarfile.TarError, ValueError):
        return {}
    return {}


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _text(content: Mapping[str, Any], name: str) -> str:
    return str(content.get(name) or "")


def _number(content: Mapping[str, Any], name: str) -> float | None:
    found = content.get(name)
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _whole(content: Mapping[str, Any], name: str) -> int | None:
    found = _number(content, name)
    return None if found is None else round(found)
