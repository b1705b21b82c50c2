"""Arrays beside the shards, found by clip id: what the readers of all sidecars share."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.shards.place import tar_place
from trainers.data.clip import DecodedClip
from trainers.data.range_reads import read_bytes
from trainers.errors import ShardNotFoundError, ShardReadError, TrainingDataError
from trainers.sidecar.layout import INDEX, TABLE

FIX = "run `dvc repro features`"
COLUMNS = ("item_id", "clip_id", "status", "detail", "shard", "offset_bytes", "num_bytes")


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """Where a clip's array lies."""

    shard: str
    offset: int
    size: int
    made_from: str
    """Digest of what was encoded."""
    fault: str
    """Error if there is no array, else empty."""


@dataclass(frozen=True, slots=True)
class SidecarArrays:
    """One sidecar's files, and its words for messages."""

    folder: str
    """A folder, or any URL that fsspec knows."""
    below: str
    """Folder of its tars at $LIPFORGE_SHARDS."""
    arrays: str
    """What they are: `Whisper features`."""
    other: str
    """What they must not have been made from: `other sound`."""
    key: str = ""
    """Where the user asked for them, behind a space: ` (params.yaml, ...)`."""

    def index(self) -> dict[str, Any]:
        """Return the index.

        Raises:
            TrainingDataError: there is none.
            ShardReadError: the storage refuses.
        """
        facts: dict[str, Any] = json.loads(self._read(INDEX))
        return facts

    def entries(self, digest: str) -> dict[str, ArrayEntry]:
        """Return the table by clip id.

        Args:
            digest: name of the column with the digest of what was encoded.

        Raises:
            TrainingDataError, ShardReadError: as `index`.
        """
        table = pq.read_table(io.BytesIO(self._read(TABLE)), columns=[*COLUMNS, digest])
        return {row["item_id"]: _entry(row, digest) for row in table.to_pylist()}

    def entry_of(
        self, entries: Mapping[str, ArrayEntry], clip: DecodedClip, made_from: str
    ) -> ArrayEntry:
        """Return the clip's entry, which must be of what the clip holds now.

        Raises:
            TrainingDataError: there is none, or it was made from something else.
            DecodeError: the stage could not use the clip.
        """
        entry = entries.get(clip.clip_id)
        if entry is None:
            where = f"{self.folder}: no {self.arrays} of {clip.shard}/{clip.clip_id}"
            raise TrainingDataError(f"{where}{self.key}; {FIX}")
        if entry.fault:
            raise DecodeError(f"no {self.arrays}: {entry.fault}")
        if entry.made_from != made_from:
            raise TrainingDataError(
                f"{self.folder}/{entry.shard}: the {self.arrays} of {clip.clip_id} were made from "
                f"{self.other} than {clip.shard} holds now{self.key}; {FIX}"
            )
        return entry

    def array(self, entry: ArrayEntry, clip_id: str) -> NDArray[Any]:
        """Return a clip's array.

        Raises:
            TrainingDataError, ShardReadError: its tar is absent or damaged, or the storage refuses.
        """
        content = self._read(entry.shard, entry.offset, entry.offset + entry.size, self.tars)
        try:
            return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
        except (ValueError, EOFError) as error:
            where = f"{self.tars}/{entry.shard}"
            raise ShardReadError(f"{where}: no array at {clip_id}: {error}; {FIX}") from error

    @property
    def tars(self) -> str:
        """The folder or the URL of the tars."""
        place = tar_place(Path(self.folder), self.below)
        return place.root if place.sealed and "://" not in self.folder else self.folder

    def _read(
        self, name: str, start: int | None = None, end: int | None = None, root: str = ""
    ) -> bytes:
        url = f"{root or self.folder}/{name}"
        try:
            return read_bytes(url, start, end)
        except ShardNotFoundError as error:
            raise TrainingDataError(f"{url}: no such file{self.key}; {FIX}") from error


def _entry(row: Mapping[str, Any], digest: str) -> ArrayEntry:
    return ArrayEntry(
        shard=row["shard"] or "",
        offset=row["offset_bytes"] or 0,
        size=row["num_bytes"] or 0,
        made_from=row[digest] or "",
        fault="" if row["status"] == "kept" else row["detail"],
    )
