"""The tables of one run: their paths, each read once, and the rows of a clip joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.manifest import Row, read_table, typed_rows
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


class RunTables:
    """The tables below a data folder; each is read when it is first asked for."""

    def __init__(self, data: Path, records: Mapping[str, Sequence[Record]] | None = None) -> None:
        """Args: `records` are rows at hand, by stage, which are not read from disk."""
        self.data = data
        self._records: dict[str, Sequence[Record]] = dict(records or {})

    def exists(self, stage: str) -> bool:
        """Return whether the stage has written its table."""
        return stage in self._records or table_path(self.data, stage).exists()

    def records(self, stage: str) -> Sequence[Record]:
        """Return every row, kept or not; none if the stage has not run."""
        return self._read(stage) if self.exists(stage) else ()

    def kept(self, stage: str) -> list[Record]:
        """Return the kept rows; none if the stage has not run."""
        return [row for row in self.records(stage) if row["status"] == "kept"]

    def rows(self, stage: str, row_type: type[Row]) -> list[Row]:
        """Return the kept rows as objects of `row_type`.

        Raises:
            ManifestError: the stage has not run, or its columns are not those of `row_type`.
        """
        return typed_rows(self._read(stage), row_type, table_path(self.data, stage))

    def _read(self, stage: str) -> Sequence[Record]:
        if stage not in self._records:
            self._records[stage] = read_table(table_path(self.data, stage))
        return self._records[stage]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredClip:
    """A clip with its video and its measurements; None or empty where a stage has kept none."""

    video: Video
    clip: Clip
    sync: SyncScore | None
    quality: Quality | None
    stretches: tuple[SyncStretch, ...]
    """In the order of time."""


def measured_clips(tables: RunTables) -> list[MeasuredClip]:
    """Join the tables up to `quality`: one item per clip, in the order of `faces`.

    Raises:
        ManifestError: one of these stages has not run, or its table has other columns.
    """
    videos = {one.video_id: one for one in tables.rows("ingest", Video)}
    sync = {one.clip_id: one for one in tables.rows("sync", SyncScore)}
    quality = {one.clip_id: one for one in tables.rows("quality", Quality)}
    stretches: dict[str, list[SyncStretch]] = {}
    for stretch in tables.rows("stretches", SyncStretch):
        stretches.setdefault(stretch.clip_id, []).append(stretch)
    return [
        MeasuredClip(
            video=videos[clip.video_id],
            clip=clip,
            sync=sync.get(clip.clip_id),
            quality=quality.get(clip.clip_id),
            stretches=tuple(sorted(stretches.get(clip.clip_id, ()), key=lambda s: s.start_frame)),
        )
        for clip in tables.rows("faces", Clip)
    ]
