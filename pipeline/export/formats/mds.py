"""MosaicML MDS, version 2. Written here: its package cannot be installed beside ours.

(`mosaicml-streaming` 0.13 wants numpy below 2.2 and transformers below 5.) One shard:

    uint32 n | n + 1 uint32 offsets from the file's beginning | configuration as JSON | n samples
    sample: one uint32 size per column of free size | the columns' bytes, in order of their names
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.atomic import write_text
from pipeline.digest import file_sha256
from pipeline.export.contents import ClipEntry, ExportSample
from pipeline.export.layout import ExportTarget
from pipeline.export.rigid import rigid_row

COLUMNS = {"clip_id": "str", "flac": "bytes", "json": "json", "mp4": "bytes", "npz": "bytes"}
"""In the order of their names, which is that of the file."""
SIZE_LIMIT = 2**26


class Mds:
    """`<split>/index.json` and `<split>/shard.00000.mds`."""

    name: ClassVar[str] = "mds"
    min_frames: ClassVar[int] = 1
    notes: ClassVar[tuple[str, ...]] = (
        "mp4, flac and npz are the bytes of the shards; json is the flat row, the whole record is "
        "text in its `facts`",
    )

    def __init__(self, target: ExportTarget) -> None:
        self.folder = target.folder
        self.writers: dict[str, MdsFolder] = {}

    def begin(self, clips: Sequence[ClipEntry]) -> str:
        """Nothing to remark."""
        return ""

    def add(self, sample: ExportSample) -> str:
        """Write one clip to its split's shards."""
        split = sample.entry.split
        writer = self.writers.setdefault(split, MdsFolder(self.folder / split))
        members, row = sample.members, json.dumps(rigid_row(sample)).encode()
        clip_id = sample.entry.clip_id.encode()
        writer.add([clip_id, members["flac"], row, members["mp4"], members["npz"]])
        return ""

    def finish(self) -> None:
        """Write the last shards and the indices."""
        for writer in self.writers.values():
            writer.close()


class MdsFolder:
    """The shards of one folder; holds one of them in memory, 64 MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = {
            "column_encodings": list(COLUMNS.values()),
            "column_names": list(COLUMNS),
            "column_sizes": [None] * len(COLUMNS),
            "compression": None,
            "format": "mds",
            "hashes": ["sha256"],
            "size_limit": SIZE_LIMIT,
            "version": 2,
        }
        self.config_json = json.dumps(self.config, sort_keys=True).encode()
        self.samples: list[bytes] = []
        self.filled = self._empty()
        self.shards: list[dict[str, Any]] = []

    def add(self, columns: Sequence[bytes]) -> None:
        """Add a sample; write a shard first if it does not fit."""
        sizes = np.array([len(one) for one in columns], "<u4").tobytes()
        content = sizes + b"".join(columns)
        if self.samples and self.filled + len(content) + 4 > SIZE_LIMIT:
            self._flush()
        self.samples.append(content)
        self.filled += len(content) + 4

    def close(self) -> None:
        """Write what is left, and the index."""
        if self.samples:
            self._flush()
        index = json.dumps({"shards": self.shards, "version": 2}, sort_keys=True)
        write_text(self.folder / "index.json", index)

    def _empty(self) -> int:
        return 8 + len(self.config_json)

    def _flush(self) -> None:
        count, name = len(self.samples), f"shard.{len(self.shards):05d}.mds"
        first = 4 + 4 * (count + 1) + len(self.config_json)
        ends = np.cumsum([0, *(len(one) for one in self.samples)]) + first
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("wb") as stream:
            stream.write(np.array([count, *ends], "<u4").tobytes() + self.config_json)
            stream.writelines(self.samples)
        raw = {
            "basename": name,
            "bytes": int(ends[-1]),
            "hashes": {"sha256": file_sha256(self.folder / name)},
        }
        self.shards.append({"samples": count, "raw_data": raw, "zip_data": None, **self.config})
        self.samples, self.filled = [], self._empty()
