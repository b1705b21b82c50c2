"""The data set card that is packed beside the shards."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.engine.manifest import read_table
from pipeline.tables.judges_used import fallback_notes


def datacard(funnel: Mapping[str, Any], index: Path, videos: Path) -> str:
    """Return the card as Markdown: contents, funnel, sources, licences, schema, how to load."""
    environment = Environment(
        loader=PackageLoader("pipeline.shards", ""),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML: every name passes through the filter `cell`
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    rows = [row for row in read_table(videos) if row["status"] == "kept"]
    return environment.get_template("datacard.md.j2").render(
        index=json.loads(index.read_text(encoding="utf-8")),
        stages=funnel["stages"],
        sources=funnel["sources"],
        judges=funnel["judges"],
        notes=fallback_notes(funnel["judges"]),
        licences=sorted(Counter(row["licence"] or "not stated" for row in rows).items()),
        languages=sorted(Counter(row["language"] or "not stated" for row in rows).items()),
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
