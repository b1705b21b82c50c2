"""The funnel: items, statuses, reasons and seconds per stage, counted from the tables alone."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from pipeline.engine.outcome import STATUSES
from pipeline.tables.judges_used import judges_used
from pipeline.tables.rows import FPS
from pipeline.tables.run_tables import TABLES, Record, RunTables


def funnel(tables: RunTables, stages: Collection[str] = tuple(TABLES)) -> dict[str, Any]:
    """Count items in, endings, reasons, rows and seconds of the stages whose table exists.

    `judges` says who scored the clips, and for what reason if not as params.yaml asks.
    """
    lines = [_count(stage, tables.records(stage)) for stage in stages if tables.exists(stage)]
    used = judges_used(tables.records("sync")) if "sync" in stages else []
    return {"sources": lines[0]["in"] if lines else 0, "stages": lines, "judges": used}


def _count(stage: str, rows: Sequence[Record]) -> dict[str, Any]:
    endings = {row["item_id"]: row["status"] for row in rows}
    endings |= {row["item_id"]: "kept" for row in rows if row["status"] == "kept"}
    items = Counter(endings.values())
    return {
        "stage": stage,
        "in": len(endings),
        **{status: items[status] for status in STATUSES},
        "rows": sum(row["status"] == "kept" for row in rows),
        "rows_rejected": sum(row["status"] == "rejected" for row in rows),
        "reasons": _reasons(rows),
        "seconds_kept": round(sum(_seconds(row) for row in rows if row["status"] == "kept"), 2),
        "seconds_rejected": round(
            sum(_seconds(row) for row in rows if row["status"] == "rejected"), 2
        ),
    }


def _reasons(rows: Sequence[Record]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {status: Counter() for status in STATUSES[1:]}
    for row in rows:
        if row["status"] != "kept":
            found[row["status"]][row["reason"]] += 1
    return {status: dict(sorted(reasons.items())) for status, reasons in found.items()}


def _seconds(row: Record) -> float:
    if row.get("start_frame") is not None:
        return float(row["end_frame"] - row["start_frame"]) / FPS
    return float(row.get("num_frames") or 0) / FPS
