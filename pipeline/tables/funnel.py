"""What became of every input, stage by stage, counted from the tables alone."""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pipeline.engine.manifest import read_table
from pipeline.engine.outcome import STATUSES
from pipeline.tables.judges_used import judges_used
from pipeline.tables.rows import FPS

TABLES = {
    "ingest": "videos",
    "scenes": "scenes",
    "faces": "clips",
    "sync": "sync",
    "quality": "quality",
    "select": "select",
    "shards": "samples",
}
"""Stage -> the table it writes, in the data's way: data/<stage>/<table>.parquet."""


def table_path(data: Path, stage: str) -> Path:
    """Return the path of a stage's table."""
    return data / stage / f"{TABLES[stage]}.parquet"


def funnel(data: Path, stages: Collection[str] = tuple(TABLES)) -> dict[str, Any]:
    """Count items in, endings, reasons, rows and seconds of the stages whose table exists.

    `judges` says who scored the clips, and for what reason if not as params.yaml asks.
    """
    lines = [
        _count(stage, read_table(table_path(data, stage)))
        for stage in stages
        if table_path(data, stage).exists()
    ]
    sync = table_path(data, "sync")
    used = judges_used(read_table(sync)) if sync.exists() and "sync" in stages else []
    return {"sources": lines[0]["in"] if lines else 0, "stages": lines, "judges": used}


def _count(stage: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
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


def _reasons(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {status: Counter() for status in STATUSES[1:]}
    for row in rows:
        if row["status"] != "kept":
            found[row["status"]][row["reason"]] += 1
    return {status: dict(sorted(reasons.items())) for status, reasons in found.items()}


def _seconds(row: Mapping[str, Any]) -> float:
    if row.get("start_frame") is not None:
        return float(row["end_frame"] - row["start_frame"]) / FPS
    return float(row.get("num_frames") or 0) / FPS
