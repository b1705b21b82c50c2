"""The tables of one run: their paths, each read once, and the rows of a clip joined."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.engine.manifest import (
    Row,
    each_kept_row,
    each_row,
    each_typed,
    read_table,
    rows_of,
)
from pipeline.tables.rows import Clip, Quality, SyncScore, SyncStretch, Video

Record = Mapping[str, Any]
"""One row as stored: the columns of the manifest (item_id, status, reason ...) and of the row."""

TABLES = {
    "ingest": "videos",
    "scenes": "scenes",
    "faces": "clips",
    "sync": "sync",
    "stretches": "stretches",
    "quality": "quality",
    "select": "select",
    "shards": "samples",
}
"""Stage -> the table it writes, in the order of the pipeline: data/<stage>/<table>.parquet."""


def table_path(data: Path, stage: str) -> Path:
    """Return the path of a stage's table."""
    return data / stage / f"{TABLES[stage]}.parquet"


def quiet_table(data: Path) -> Path:
    """Return the path of the table of silent and listening clips, which is no stage's own."""
    return data / "shards" / "quiet" / "samples.parquet"


class RunTables:
    """The tables below a data folder; `records` are read once and kept, all else is streamed."""

    def __init__(
        self,
        data: Path,
        records: Mapping[str, Sequence[Record]] | None = None,
        columns: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        """Say what is read.

        Args:
            records: rows at hand, by stage, which are not read from disk.
            columns: by stage, the only columns that `records` are to have.
        """
        self.data, self.columns = data, columns
        self._records: dict[str, Sequence[Record]] = dict(records or {})

    def exists(self, stage: str) -> bool:
        """Return whether the stage has written its table."""
        return stage in self._records or table_path(self.data, stage).exists()

    def records(self, stage: str) -> Sequence[Record]:
        """Return every row, kept or not; none if the stage has not run."""
        if not self.exists(stage):
            return ()
        if stage not in self._records:
            path, columns = table_path(self.data, stage), self.columns.get(stage)
            self._records[stage] = read_table(path, columns)
        return self._records[stage]

    def kept(self, stage: str) -> list[Record]:
        """Return the kept rows; none if the stage has not run."""
        return [row for row in self.records(stage) if row["status"] == "kept"]

    def each(self, stage: str, columns: Collection[str] | None = None) -> Iterator[Record]:
        """Yield every row, kept or not, with the named columns at least; none if it has not run."""
        if self._whole(stage):
            yield from self._records[stage]
        elif self.exists(stage):
            yield from each_row(table_path(self.data, stage), columns)

    def of_items(self, stage: str, items: Collection[str]) -> Sequence[Record]:
        """Return the whole rows of a few items."""
        if self._whole(stage):
            return [row for row in self._records[stage] if row["item_id"] in items]
        return rows_of(table_path(self.data, stage), items) if self.exists(stage) else ()

    def _whole(self, stage: str) -> bool:
        """Return whether all columns of a table are in memory."""
        return stage in self._records and stage not in self.columns

    def rows(self, stage: str, row_type: type[Row], without: Collection[str] = ()) -> list[Row]:
        """Return the kept rows as objects of `row_type`.

        Raises:
            ManifestError: the stage has not run, or its columns are not those of `row_type`.
        """
        return list(self.each_kept(stage, row_type, without))

    def each_kept(
        self, stage: str, row_type: type[Row], without: Collection[str] = ()
    ) -> Iterator[Row]:
        """Yield the kept rows as objects of `row_type`; columns in `without` have their default.

        Raises:
            ManifestError: the stage has not run, or its columns are not those of `row_type`.
        """
        path = table_path(self.data, stage)
        if self._whole(stage):
            return each_typed(self._records[stage], row_type, path)
        return each_kept_row(path, row_type, without)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredClip:
    """A clip with its video and its measurements; None or empty where a stage has kept none."""

    video: Video
    clip: Clip
    sync: SyncScore | None
    quality: Quality | None
    stretches: tuple[SyncStretch, ...]
    """In the order of time."""


SERIES = ("roll_by_frame", "change_by_frame", "cover_by_frame", "speech_by_frame")
"""Columns of `quality` with one value per frame: nine tenths of what a clip takes in memory."""


def measured_clips(tables: RunTables) -> list[MeasuredClip]:
    """Join the tables up to `quality`: one item per clip, in the order of `faces`.

    Without what is large: the quality's series per frame and the score's curve are empty.

    Raises:
        ManifestError: one of these stages has not run, or its table has other columns.
    """
    joined = ClipJoin(tables)
    quality = {one.clip_id: one for one in tables.each_kept("quality", Quality, SERIES)}
    return [joined.measured(clip, quality.get(clip.clip_id)) for clip in joined.clips]


class ClipJoin:
    """All tables but that of `quality`, by clip."""

    def __init__(self, tables: RunTables) -> None:
        """Read them.

        Raises:
            ManifestError: one of these stages has not run, or its table has other columns.
        """
        self.tables = tables
        self.videos = {one.video_id: one for one in tables.each_kept("ingest", Video)}
        self.scores = {one.clip_id: one for one in tables.each_kept("sync", SyncScore, ("curve",))}
        self.stretches: dict[str, list[SyncStretch]] = {}
        for stretch in tables.each_kept("stretches", SyncStretch):
            self.stretches.setdefault(stretch.clip_id, []).append(stretch)
        self.clips = tables.rows("faces", Clip)

    def measured(self, clip: Clip, quality: Quality | None) -> MeasuredClip:
        """Return a clip with what was measured of it."""
        stretches = self.stretches.get(clip.clip_id, ())
        return MeasuredClip(
            video=self.videos[clip.video_id],
            clip=clip,
            sync=self.scores.get(clip.clip_id),
            quality=quality,
            stretches=tuple(sorted(stretches, key=lambda one: one.start_frame)),
        )

    def in_order(self) -> Iterator[MeasuredClip]:
        """Yield every clip once, whole, in the order of the ids, and forget it.

        The rows of `quality`, in the same order, are read as they are needed.

        Raises:
            ManifestError: `quality` has not run, or its table has other columns.
        """
        rows = self.tables.each_kept("quality", Quality)
        quality = next(rows, None)
        self.clips.sort(key=lambda one: one.clip_id, reverse=True)
        while self.clips:
            clip = self.clips.pop()
            while quality is not None and quality.clip_id < clip.clip_id:
                quality = next(rows, None)
            own = quality is not None and quality.clip_id == clip.clip_id
            yield self.measured(clip, quality if own else None)
            self.scores.pop(clip.clip_id, None)
            self.stretches.pop(clip.clip_id, None)
