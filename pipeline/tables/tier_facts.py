"""Clips and seconds of every tier, as `select` found them and as `shards` packed them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.engine.manifest import each_row
from pipeline.tables.rows import BASE, FPS, HQ, QUIET_TIERS, counted_tiers
from pipeline.tables.run_tables import Record, RunTables, quiet_table


@dataclass(slots=True)
class TierFacts:
    """One tier; `base` counts the hq clips, too."""

    tier: str
    found: int = 0
    found_seconds: float = 0.0
    packed: int = 0
    packed_seconds: float = 0.0


def tiers_of_run(tables: RunTables) -> list[TierFacts]:
    """Return every tier in the order base, hq, silent, listening; none before `select` has run."""
    facts = {tier: TierFacts(tier) for tier in (BASE, HQ, *QUIET_TIERS)}
    for tier, seconds in _of_rows(tables.each("select", _COLUMNS)):
        facts[tier].found += 1
        facts[tier].found_seconds += seconds
    for tier, seconds in _of_rows(_packed(tables)):
        facts[tier].packed += 1
        facts[tier].packed_seconds += seconds
    return [*facts.values()] if tables.exists("select") else []


_COLUMNS = ("status", "tier", "start_frame", "end_frame")


def _packed(tables: RunTables) -> Iterator[Record]:
    rows = [tables.each("shards", _COLUMNS)]
    table = quiet_table(tables.data)
    if table.exists():
        rows.append(each_row(table, _COLUMNS))
    yield from (row for some in rows for row in some if row["status"] == "kept")


def _of_rows(rows: Iterable[Record]) -> Iterator[tuple[str, float]]:
    for row in rows:
        if tier := row.get("tier"):
            seconds = (row["end_frame"] - row["start_frame"]) / FPS
            yield from ((one, seconds) for one in counted_tiers(tier))
