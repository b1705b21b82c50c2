"""The section "Systems" of the training report: all trained talking-face models side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainers.page import listening_section, report_tables
from trainers.page.charts import Chart, Rows, term_charts
from trainers.page.embedded_samples import EmbeddedSamples
from trainers.page.report_tables import ReportTable, TableRow, table_cell

DEFAULT_SYSTEM = "latentsync"
"""Name of the column of `ldm`, which is always trained."""
GROUPS = ("listening", "own", "foreign", "silence", "temporal")
LEFT_OUT = ("spread", "clips")


@dataclass(frozen=True, slots=True)
class TrainedSystem:
    """What there is of one optional system, besides its metrics."""

    name: str
    curve: Rows | None
    outcome: str
    openings: Mapping[str, Any] | None
    samples: EmbeddedSamples | None


@dataclass(frozen=True, slots=True)
class SystemPart:
    """One optional system on the page."""

    name: str
    outcome: str
    charts: Sequence[Chart]
    openings: Sequence[Chart]
    samples: EmbeddedSamples | None


@dataclass(frozen=True, slots=True)
class SystemsSection:
    """Metrics of all systems in one table, then what each optional one has."""

    table: ReportTable
    parts: tuple[SystemPart, ...]


def systems_section(
    metrics: Mapping[str, Any] | None, systems: Sequence[TrainedSystem]
) -> SystemsSection | None:
    """Return the section; None if no optional system was evaluated.

    Args:
        metrics: content of metrics.json.
        systems: the optional ones; those without metrics are not shown.
    """
    found = (metrics or {}).get("systems") or {}
    shown = [one for one in systems if one.name in found]
    if not shown:
        return None
    columns = {DEFAULT_SYSTEM: (metrics or {}).get("ldm") or {}}
    columns |= {one.name: found[one.name] for one in shown}
    return SystemsSection(_table(columns), tuple(map(_part, shown)))


def without_systems(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics without the part that this section shows."""
    return {name: value for name, value in metrics.items() if name != "systems"}


def _part(one: TrainedSystem) -> SystemPart:
    charts = term_charts(one.curve or ())
    openings = listening_section.opening_charts(one.openings or {})
    return SystemPart(one.name, one.outcome, charts, openings, one.samples)


def _table(columns: Mapping[str, Mapping[str, Any]]) -> ReportTable:
    values = {name: dict(_numbers(content)) for name, content in columns.items()}
    names = list(dict.fromkeys(name for one in values.values() for name in one))
    rows = tuple(
        TableRow(name, _meaning(name), tuple(table_cell(one.get(name)) for one in values.values()))
        for name in names
    )
    return ReportTable("", tuple(values), rows, len(rows))


def _numbers(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the measured numbers of a system by `group.name`, what the mouths follow first."""
    yield "size_px", content.get("size_px")
    for group in GROUPS:
        found = content.get(group) or {}
        known = [name for name in listening_section.MEANINGS if name in found]
        for name in dict.fromkeys([*known, *found]):
            if name not in LEFT_OUT and not isinstance(found[name], Mapping | str):
                yield f"{group}.{name}", found[name]


def _meaning(name: str) -> str:
    group, _, last = name.partition(".")
    known = listening_section.MEANINGS if group == "listening" else report_tables.MEANINGS
    return known.get(last, report_tables.MEANINGS.get(name, ""))
