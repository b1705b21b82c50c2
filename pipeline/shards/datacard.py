"""The data set card that is packed beside the shards."""

import json
from collections import Counter
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.tables.funnel import funnel
from pipeline.tables.judges_used import fallback_notes
from pipeline.tables.people_facts import read_people
from pipeline.tables.run_tables import RunTables


def datacard(tables: RunTables, index: Path) -> str:
    """Return the card as Markdown: contents, funnel, sources, licences, schema, how to load."""
    environment = Environment(
        loader=PackageLoader("pipeline.shards", ""),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML: every name passes through the filter `cell`
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    rows, counts = tables.kept("ingest"), funnel(tables)
    return environment.get_template("datacard.md.j2").render(
        index=json.loads(index.read_text(encoding="utf-8")),
        stages=counts["stages"],
        sources=counts["sources"],
        judges=counts["judges"],
        notes=fallback_notes(counts["judges"]),
        licences=sorted(Counter(row["licence"] or "not stated" for row in rows).items()),
        languages=sorted(Counter(row["language"] or "not stated" for row in rows).items()),
        people=read_people(tables.data),
        videos=sorted(rows, key=lambda row: row["uri"]),
    )


def cell(text: object) -> str:
    """Make text safe for a Markdown table cell: no markup, no new row, no new column."""
    safe = json.dumps(str(text), ensure_ascii=False)[1:-1]
    for mark, entity in {"&": "&amp;", "<": "&lt;", "|": "&#124;", "`": "&#96;"}.items():
        safe = safe.replace(mark, entity)
    for mark in "[]*_":
        safe = safe.replace(mark, f"\\{mark}")
    return safe
