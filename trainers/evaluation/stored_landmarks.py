"""Landmarks and crop matrices of clips, read from the `npz` and `json` of shards.

Training never reads them, so the index does not list them: the headers of a shard are read once,
at its first clip.

Shape suffixes: T frames, L landmarks, C coordinates (x, y, z).
"""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.faces.schemas import LandmarkSchema, schema_named
from pipeline.media.clip_reader import read_arrays, read_facts
from trainers.data.index import ShardIndex
from trainers.data.range_reads import read_indexed
from trainers.errors import ShardReadError

MEMBERS = ("npz", "json")


@dataclass(frozen=True, slots=True)
class ClipLandmarks:
    """The landmarks of one clip."""

    schema: LandmarkSchema
    points: NDArray[np.float64]
    """(T, L, 3) in pixels of the source."""
    matrices: NDArray[np.float64]
    """(T, 2, 3): source pixels -> pixels of the aligned face."""


@dataclass(slots=True)
class StoredLandmarks:
    """Reads the landmarks of an index's clips."""

    index: ShardIndex
    _spans: dict[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    """URL of a shard -> name of a member -> offset, size in bytes."""

    def of(self, number: int) -> ClipLandmarks:
        """Return the landmarks of a clip.

        Args:
            number: of the clip in the index.

        Raises:
            DecodeError: a member is absent or damaged, or has another number of frames.
            ShardReadError: the storage refuses, or the shard has become shorter.
        """
        npz, json = (self._member(number, suffix) for suffix in MEMBERS)
        arrays, facts = read_arrays(npz, ("landmarks", "matrices")), read_facts(json)
        schema = _schema(facts)
        points, frames = schema.checked(arrays["landmarks"]), int(self.index.num_frames[number])
        if len(points) != frames:
            raise DecodeError(f"landmarks of {len(points)} frames for {frames} frames")
        return ClipLandmarks(schema, points, arrays["matrices"])

    def _member(self, number: int, suffix: str) -> bytes:
        url, name = self.index.url(number), f"{self.index.clip_ids[number]}.{suffix}"
        if url not in self._spans:
            self._spans[url] = _spans(url)
        if name not in self._spans[url]:
            raise DecodeError(f"{url} has no {name}; run `dvc repro shards`")
        return read_indexed(url, *self._spans[url][name])


def _schema(facts: Mapping[str, Any]) -> LandmarkSchema:
    try:
        return schema_named(str(facts["clip"]["landmark_schema"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"its JSON names no landmark schema: {error}") from error


def _spans(url: str) -> dict[str, tuple[int, int]]:
    try:
        with fsspec.open(url, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            return {one.name.rsplit("/", 1)[-1]: (one.offset_data, one.size) for one in tar}
    except (OSError, ValueError, tarfile.TarError) as error:
        raise ShardReadError(f"{url}: cannot be read: {error}") from error
