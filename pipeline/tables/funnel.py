"""The funnel: items, statuses, reasons and seconds per stage, counted from the tables alone."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from typing import Any

from pipeline.engine.outcome import STATUSES
from pipeline.tables.judges_used import judges_used
from pipeline.tables.rows import FPS
from pipeline.tables.run_tables import TABLES, Record, RunTables

COLUMNS = ("item_id", "status", "reason", "start_frame", "end_frame", "num_frames")
JUDGE_COLUMNS = ("status", "judge", "mode", "fallback")


def funnel(tables: RunTables, stages: Collection[str] = tuple(TABLES)) -> dict[str, Any]:
    """Count items in, endings, reasons, rows and seconds of the stages whose table exists.

    `judges` says who scored the clips, and for what reason if not as params.yaml asks.
    """
    lines = [_count(stage, tables.each(stage, COLUMNS)) for stage in stages if tables.exists(stage)]
    used = judges_used(tables.each("sync", JUDGE_COLUMNS)) if "sync" in stages else []
    return {"sources": lines[0]["in"] if lines else 0, "stages": lines, "judges": used}


def _count(stage: str, rows: Iterable[Record]) -> dict[str, Any]:
    """Count one table, of which a row is in memory at a time: the rows of an item lie together."""
    items, found = Counter[str](), Counter[tuple[str, str]]()
    seconds: dict[str, float] = {"kept": 0, "rejected": 0}
    for _, parts in groupby(rows, key=lambda row: row["item_id"]):
        status = ""
        for row in parts:
            status = "kept" if "kept" in (status, row["status"]) else row["status"]
            found[row["status"], row["reason"]] += 1
            if row["status"] in seconds:
                seconds[row["status"]] += _seconds(row)
        items[status] += 1
    rows_of = Counter[str]()
    for (status, _), count in found.items():
        rows_of[status] += count
    return {
        "stage": stage,
        "in": items.total(),
        **{status: items[status] for status in STATUSES},
        "rows": rows_of["kept"],
        "rows_rejected": rows_of["rejected"],
        "reasons": {status: _reasons(status, found) for status in STATUSES[1:]},
        "seconds_kept": round(seconds["kept"], 2),
        "seconds_rejected": round(seconds["rejected"], 2),
    }


def _reasons(status: str, found: Mapping[tuple[str, str], int]) -> dict[str, int]:
    return {reason: count for (ended, reason), count in sorted(found.items()) if ended == status}


def _seconds(row: Record) -> float:
    if row.get("start_frame") is not None:
        return float(row["end_frame"] - row["start_frame"]) / FPS
    return float(row.get("num_frames") or 0) / FPS
