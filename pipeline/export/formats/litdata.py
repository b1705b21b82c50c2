"""LitData chunks, by its own writer (`pip install 'lipforge[litdata]'`)."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from pipeline.atomic import write_text
from pipeline.export.contents import ClipEntry, ExportSample
from pipeline.export.errors import ExportError
from pipeline.export.layout import ExportTarget
from pipeline.export.rigid import rigid_row

CHUNK_BYTES = 2**26
UPDATED_AT = "0"
"""In place of the time of writing: equal shards give equal bytes."""


class LitData:
    """`<split>/index.json` and `<split>/chunk-0-<n>.bin`."""

    name: ClassVar[str] = "litdata"
    min_frames: ClassVar[int] = 1
    notes: ClassVar[tuple[str, ...]] = (
        "mp4, flac and npz are the bytes of the shards; json is the flat row as text, the whole "
        "record is text in its `facts`",
        "updated_at in index.json is 0: no clock",
    )

    def __init__(self, target: ExportTarget) -> None:
        self.folder = target.folder
        self.writers: dict[str, Any] = {}
        self.counts: dict[str, int] = {}

    def begin(self, clips: Sequence[ClipEntry]) -> str:
        """Check that the package is there.

        Raises:
            ExportError: it is not.
        """
        if find_spec("litdata") is None:
            raise ExportError("litdata: not installed; run `pip install 'lipforge[litdata]'`")
        return ""

    def add(self, sample: ExportSample) -> str:
        """Give one clip to the writer of its split."""
        from litdata.streaming.writer import BinaryWriter

        split, members = sample.entry.split, sample.members
        if split not in self.writers:
            folder = str(self.folder / split)
            self.writers[split] = BinaryWriter(folder, chunk_bytes=CHUNK_BYTES)
        number = self.counts.get(split, 0)
        item = {
            "clip_id": sample.entry.clip_id,
            "flac": members["flac"],
            "json": json.dumps(rigid_row(sample)),
            "mp4": members["mp4"],
            "npz": members["npz"],
        }
        self.writers[split].add_item(number, item)
        self.counts[split] = number + 1
        return ""

    def finish(self) -> None:
        """Write the last chunks and the indices."""
        for split, writer in self.writers.items():
            writer.done()
            writer.merge()
            path = self.folder / split / "index.json"
            index = json.loads(path.read_text(encoding="utf-8"))
            write_text(path, json.dumps({**index, "updated_at": UPDATED_AT}, sort_keys=True))
