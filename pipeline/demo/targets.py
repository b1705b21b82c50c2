"""What a run has to reach on the demo corpus, and the table that says whether it did."""

from collections.abc import Mapping
from typing import Any, get_args

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from pipeline.demo.truth import FaultKind, FileTruth

AT_LEAST = {
    "cuts_f1": 0.98,
    "kept_precision": 0.97,
    "kept_recall": 0.9,
    "offset_within_1_frame": 0.95,
    "speaker_found": 1.0,
    "endings_right": 1.0,
}
AT_MOST = {"wrongly_kept_seconds": 0.0, "lost_seconds_share": 0.05}
FAULTS_IN_PART_COUNT = True
"""Whether the line handles films that are good in part. While it does not, `AT_MOST` is reported
but enforces nothing, and the measures of `AT_LEAST` leave those films out."""


def counts(film: FileTruth) -> bool:
    """Return whether the measures of `AT_LEAST` count a file."""
    return FAULTS_IN_PART_COUNT or film.kind not in get_args(FaultKind)


def missed(metrics: Mapping[str, Any]) -> list[str]:
    """Return the measures that miss a target which is enforced."""
    enforced = {**AT_LEAST, **(AT_MOST if FAULTS_IN_PART_COUNT else {})}
    return [name for name in enforced if not _reached(name, metrics[name])]


def render_table(metrics: Mapping[str, Any]) -> Group:
    """Return what to print on a terminal: every metric, its target, and what is wrong."""
    table = Table("measure", "value", "target", "", title="curation against ground truth")
    for name, value in metrics.items():
        if isinstance(value, int | float):
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            table.add_row(name, shown, *_target(name, value))
    return Group(table, _seconds(metrics), *(escape(line) for line in metrics["wrong"]))


def _seconds(metrics: Mapping[str, Any]) -> Table:
    table = Table("kind", "files", "good s", "lost s", "bad s", "wrongly kept s", title="seconds")
    for kind, row in metrics["seconds_by_kind"].items():
        names = ("good_s", "lost_s", "bad_s", "wrongly_kept_s")
        table.add_row(kind, str(row["files"]), *(f"{row[name]:.2f}" for name in names))
    return table


def _target(name: str, value: float) -> tuple[str, str]:
    """Return the target and whether it is reached; two empty texts where there is none."""
    if name not in {**AT_LEAST, **AT_MOST}:
        return "", ""
    target = f">= {AT_LEAST[name]:g}" if name in AT_LEAST else f"<= {AT_MOST[name]:g}"
    if _reached(name, value):
        return target, "[green]ok[/]"
    is_enforced = FAULTS_IN_PART_COUNT or name in AT_LEAST
    return target, "[red]no[/]" if is_enforced else "[yellow]not yet[/]"


def _reached(name: str, value: float) -> bool:
    return value >= AT_LEAST[name] if name in AT_LEAST else value <= AT_MOST[name]
