"""The tables joined by clip: what was measured, and what became of it in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.engine.manifest import read_table
from pipeline.engine.outcome import STATUSES
from pipeline.tables.funnel import TABLES, table_path
from pipeline.tables.rows import FPS

Record = Mapping[str, Any]
Ending = Literal["accepted", "rejected", "undecided"]

NOT_SELECTED = "not_selected"
"""Reason shown for a clip that `select` has not seen: the run stopped before."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Every row of every table, by stage; a stage that has not run has no rows."""

    rows: Mapping[str, Sequence[Record]]

    def kept(self, stage: str) -> list[Record]:
        """Return the kept rows of a stage."""
        return [row for row in self.rows[stage] if row["status"] == "kept"]

    def uris(self) -> dict[str, str]:
        """Return video_id -> uri, the first file of each content."""
        found: dict[str, str] = {}
        for row in self.rows["ingest"]:
            if row.get("video_id"):
                found.setdefault(row["video_id"], row["uri"])
        return found


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """One clip with everything known of it; a measurement that is missing is None."""

    clip_id: str
    video_id: str
    uri: str
    ending: Ending
    reason: str
    detail: str
    split: str
    clip: Record
    sync: Record | None
    quality: Record | None

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return float(self.clip["num_frames"]) / FPS

    def value(self, name: str) -> float | None:
        """Return a measurement by the name of its column, None where it was not made."""
        if name == "duration_s":
            return self.seconds
        for row in (self.sync, self.quality, self.clip):
            if row is not None and row.get(name) is not None:
                return float(row[name])
        return None


def read_tables(data: Path) -> Tables:
    """Read `data/<stage>/<table>.parquet` of every stage that has run."""
    paths = {stage: table_path(data, stage) for stage in TABLES}
    return Tables({s: read_table(path) if path.exists() else [] for s, path in paths.items()})


def join_clips(tables: Tables) -> list[ClipFacts]:
    """Return every clip that `faces` made, sorted by source and place in it."""
    uris = tables.uris()
    by_id = {stage: _by_clip(tables, stage) for stage in ("sync", "quality", "select", "shards")}
    clips = [_join(row, uris, by_id) for row in tables.kept("faces")]
    return sorted(clips, key=lambda c: (c.uri, c.clip["start_frame"], c.clip_id))


def failures(tables: Tables) -> list[dict[str, str]]:
    """Return every failed or quarantined item: stage, item (its source where known), error."""
    uris = tables.uris()
    uris |= {row["clip_id"]: uris.get(row["video_id"], "") for row in tables.kept("faces")}
    return [
        {
            "stage": stage,
            "item": row["item_id"],
            "source": uris.get(row["item_id"], ""),
            "status": row["status"],
            "reason": row["reason"],
            "detail": row["detail"],
        }
        for stage in TABLES
        for row in tables.rows[stage]
        if row["status"] in STATUSES[2:]
    ]


def _by_clip(tables: Tables, stage: str) -> dict[str, Record]:
    return {row["item_id"]: row for row in tables.rows[stage]}


def _join(
    row: Record, uris: Mapping[str, str], by_id: Mapping[str, Mapping[str, Record]]
) -> ClipFacts:
    clip_id = row["clip_id"]
    selected, packed = by_id["select"].get(clip_id), by_id["shards"].get(clip_id)
    ending, last = _ending(selected, packed)
    return ClipFacts(
        clip_id=clip_id,
        video_id=row["video_id"],
        uri=uris.get(row["video_id"], row["video_id"]),
        ending=ending,
        reason=(last["reason"] if last else NOT_SELECTED) if ending != "accepted" else "",
        detail=(last["detail"] if last else "") if ending != "accepted" else "",
        split=str((selected or {}).get("split") or ""),
        clip=row,
        sync=_measured(by_id["sync"].get(clip_id)),
        quality=_measured(by_id["quality"].get(clip_id)),
    )


def _ending(selected: Record | None, packed: Record | None) -> tuple[Ending, Record | None]:
    """Return the ending and the row that decided it: `shards` has the last word."""
    if selected is None:
        return "undecided", None
    if selected["status"] != "kept":
        return "rejected", selected
    if packed is not None and packed["status"] != "kept":
        return "rejected", packed
    return "accepted", None


def _measured(row: Record | None) -> Record | None:
    return row if row is not None and row["status"] == "kept" else None
