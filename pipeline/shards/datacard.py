"""The data set card that is packed beside the shards."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.params.curation import Params
from pipeline.shards.card_facts import card_facts
from pipeline.shards.labels import LABELS
from pipeline.tables.funnel import funnel
from pipeline.tables.judges_used import fallback_notes
from pipeline.tables.people_facts import read_people
from pipeline.tables.rows import BASE, HQ, LISTENING, SILENT
from pipeline.tables.run_tables import RunTables
from pipeline.tables.tier_facts import tiers_of_run

LANGUAGE_CODE = re.compile(r"[a-z]{2,3}")
"""ISO 639, as the header of a card at Hugging Face takes it; other names stand in the table."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LARGER = "n>1M"
TIER_WORDS = {
    BASE: "every selected clip",
    HQ: "those of them within the stricter limits of `select.hq`",
    SILENT: "not selected: nothing is said; packed apart in `quiet/`",
    LISTENING: "not selected: somebody else speaks; packed apart in `quiet/`",
}


def datacard(tables: RunTables, index: Path, params: Params) -> str:
    """Return the card as Markdown: contents, distributions, how it was made, limits, terms.

    The same tables, index and parameters give the same bytes.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.shards", ""),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML: every name passes through the filter `cell`
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    rows, counts = tables.kept("ingest"), funnel(tables)
    content = json.loads(index.read_text(encoding="utf-8"))
    total = _total(content["splits"])
    return environment.get_template("datacard.md.j2").render(
        card=params.shards.card,
        index=content,
        total=total,
        size=next((name for most, name in SIZES if total["samples"] < most), LARGER),
        codes=sorted({r["language"] for r in rows if LANGUAGE_CODE.fullmatch(r["language"])}),
        facts=card_facts(tables),
        tiers=tiers_of_run(tables),
        tier_words=TIER_WORDS,
        labels=LABELS,
        limits=[(k, v) for k, v in params.select.model_dump().items() if k != "hq"],
        stages=counts["stages"],
        sources=counts["sources"],
        judges=counts["judges"],
        notes=fallback_notes(counts["judges"]),
        licences=sorted(Counter(row["licence"] or "not stated" for row in rows).items()),
        languages=sorted(Counter(row["language"] or "not stated" for row in rows).items()),
        people=read_people(tables.data),
        videos=sorted(rows, key=lambda row: row["uri"]),
    )


def _total(splits: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in splits.values()) for name in ("samples", "seconds")}


def cell(text: object) -> str:
    """Make text safe for a Markdown table cell: no markup, no new row, no new column."""
    safe = json.dumps(str(text), ensure_ascii=False)[1:-1]
    for mark, entity in {"&": "&amp;", "<": "&lt;", "|": "&#124;", "`": "&#96;"}.items():
        safe = safe.replace(mark, entity)
    for mark in "[]*_":
        safe = safe.replace(mark, f"\\{mark}")
    return safe
