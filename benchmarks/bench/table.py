"""The table as Markdown and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.rows import Row
from pipeline.atomic import write_json, write_text

HEAD = ("what", "measured", "target", "", "runs", "checked", "how")


def markdown(rows: Sequence[Row], facts: Mapping[str, str], quick: bool) -> str:
    """Return the table, the machine above it."""
    lines = [f"{name}: {value}  " for name, value in facts.items()]
    if quick:
        lines.append("quick: small inputs, to show that it runs; no target is judged  ")
    table = [HEAD, tuple("---" for _ in HEAD), *(_cells(row, quick) for row in rows)]
    lines += ["", *("| " + " | ".join(cells) + " |" for cells in table), ""]
    return "\n".join(lines)


def _cells(row: Row, quick: bool) -> tuple[str, ...]:
    measured = "-" if row.value is None else f"{number(row.value)} {row.unit}".strip()
    target = f"{row.target} {row.unit}".strip()
    runs = str(row.runs) if row.runs else "-"
    check = f"{row.check}: {_held(row.held)}" if row.check else "-"
    return row.what, measured, target, row.verdict(quick), runs, check, row.note or "-"


def _held(held: bool | None) -> str:
    return {True: "yes", False: "NO", None: "nothing to compare with"}[held]


def number(value: float) -> str:
    """Return three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_reports(
    folder: Path, rows: Sequence[Row], facts: Mapping[str, str], options: Mapping[str, Any]
) -> None:
    """Write `bench.md` and `bench.json`, each at once."""
    quick = bool(options["quick"])
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "bench.md", markdown(rows, facts, quick))
    content = {"machine": dict(facts), "options": dict(options)}
    write_json(folder / "bench.json", {**content, "rows": [row.as_json(quick) for row in rows]})
