"""Megatron Energon: `.nv-meta` and tar indices beside the tars, which stay as they are."""

import os
import shutil
import sqlite3
import struct
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import yaml

from pipeline.atomic import write_json, write_text
from pipeline.digest import digest
from pipeline.errors import StorageError
from pipeline.export.contents import ClipEntry, ExportSample, ShardFile
from pipeline.export.formats.file_lists import parent
from pipeline.export.layout import ExportTarget
from pipeline.sources import local_copy

ENERGON_VERSION = "7.4.1"
"""Whose layout this is; its readers compare nothing with it."""
TABLES = """
CREATE TABLE samples (
    tar_file_id INTEGER NOT NULL, sample_key TEXT NOT NULL UNIQUE, sample_index INTEGER NOT NULL,
    byte_offset INTEGER, byte_size INTEGER);
CREATE TABLE sample_parts (
    tar_file_id INTEGER, sample_index INTEGER, part_name TEXT, content_byte_offset INTEGER,
    content_byte_size INTEGER);
"""
INDICES = """
CREATE INDEX idx_samples_by_tar_and_idx ON samples(tar_file_id, sample_index);
CREATE INDEX idx_sample_parts_seq ON sample_parts(tar_file_id, sample_index, content_byte_offset);
CREATE INDEX idx_sample_parts_full ON sample_parts(
    tar_file_id, sample_index, part_name, content_byte_offset, content_byte_size);
"""


class Energon:
    """The tars (hard links where the disk allows it, else copies), and what Energon needs."""

    name: ClassVar[str] = "energon"
    min_frames: ClassVar[int] = 1
    notes: ClassVar[tuple[str, ...]] = (
        "nothing is lost: the tars are those of the shards, as hard links on the same disk",
        "split.yaml: a line `<tar>/<clip_id>` under `exclude` takes a clip out",
        "what exclude.json leaves out is excluded there, and its bytes are still in the tar",
    )

    def __init__(self, target: ExportTarget) -> None:
        self.folder, self.files = target.folder, target.files
        self.counts = {file.name: 0 for file in target.files}
        self.taken: set[str] = set()
        self.excluded: list[str] = []

    def begin(self, clips: Sequence[ClipEntry]) -> str:
        """Nothing to remark."""
        return ""

    def add(self, sample: ExportSample) -> str:
        """Note it: its tar is taken as a whole, and the samples not noted are excluded."""
        self.taken.add(sample.entry.clip_id)
        return ""

    def finish(self) -> None:
        """Place the tars and write `.nv-meta`."""
        meta = self.folder / ".nv-meta"
        meta.mkdir()
        with index_database(meta / "index.sqlite") as database:
            for number, file in enumerate(self.files):
                self._place(database, number, file)
        parts: dict[str, list[str]] = {}
        for file in self.files:
            parts.setdefault(file.split, []).append(file.name)
        split = {"exclude": self.excluded, "split_parts": parts}
        kind = {"__module__": "megatron.energon", "__class__": "CrudeWebdataset"}
        write_text(meta / "dataset.yaml", yaml.safe_dump(kind, sort_keys=False))
        write_text(meta / "split.yaml", yaml.safe_dump(split))
        info = {"energon_version": ENERGON_VERSION, "shard_counts": self.counts}
        write_json(meta / ".info.json", info)
        known = digest([[file.name, file.sha256] for file in self.files])
        write_text(meta / "index.uuid", str(uuid.UUID(known[:32])))

    def _place(self, database: sqlite3.Connection, number: int, file: ShardFile) -> None:
        path = parent(self.folder / file.name)
        with local_copy(file.url) as source:
            _link_or_copy(source, path, remote="://" in file.url)
        offsets = []
        for index, (key, begin, end, parts) in enumerate(_spans(path)):
            offsets.append(begin)
            self.counts[file.name] += 1
            if key not in self.taken:
                self.excluded.append(f"{file.name}/{key}")
            row = (number, key, index, begin, end - begin)
            database.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", row)
            rows = [(number, index, *part) for part in parts]
            database.executemany("INSERT INTO sample_parts VALUES (?, ?, ?, ?, ?)", rows)
            last = end
        path.with_suffix(".tar.idx").write_bytes(
            struct.pack(f"<{len(offsets) + 1}Q", *offsets, last)
        )


@contextmanager
def index_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Make the index with its tables; its indices when the block has filled them.

    Raises:
        StorageError: the disk is full or not writable.
    """
    try:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(TABLES)
            yield database
            database.executescript(INDICES)
            database.commit()
    except sqlite3.OperationalError as error:
        raise StorageError(f"{path}: cannot be written: {error}; free some space") from error


def _link_or_copy(source: Path, path: Path, remote: bool) -> None:
    """Link a tar of this disk; a fetched copy is copied, as its folder may be emptied."""
    try:
        if remote:
            raise OSError("a fetched copy")
        os.link(source.resolve(), path)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, path)


def _spans(path: Path) -> Iterator[tuple[str, int, int, list[tuple[str, int, int]]]]:
    """Yield (key, first byte, end, parts) of every sample of a tar; a part: name, offset, bytes."""
    with tarfile.open(path, "r:") as tar:
        members = tar.getmembers()
        end = tar.offset
    groups: dict[str, list[tarfile.TarInfo]] = {}
    for member in members:
        groups.setdefault(member.name.partition(".")[0], []).append(member)
    starts = [group[0].offset for group in groups.values()] + [end]
    for (key, group), begin, after in zip(groups.items(), starts, starts[1:], strict=False):
        parts = [(one.name.partition(".")[2], one.offset_data, one.size) for one in group]
        yield key, begin, after, parts
