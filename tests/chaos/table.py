"""`python -m tests.chaos.table [PYTEST ARGUMENTS]`: rehearse the faults, write the table of them.

The table goes between two marks of docs/reliability.md, rows in the order of the tests. With
arguments only a part is rehearsed, and the table is printed.
"""

import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
HEAD = (
    "| fault | seeds | ended right | lost | repeated, most (in flight) | bytes equal |",
    "|---|---|---|---|---|---|",
)


@dataclass
class Row:
    """What was found for one fault."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    verdicts: list[Mapping[str, Any]] = field(default_factory=list)

    def cells(self, fault: str) -> list[str]:
        seeds = self.passed + self.failed
        if not seeds:
            return [fault, "0 (skipped here)", "", "", "", ""]
        found = self.verdicts
        lost = str(sum(one["lost"] for one in found)) if found else "?"
        most = max((one["repeated"] for one in found), default="?")
        flight = max((one["in_flight"] for one in found), default="?")
        equal = f"{sum(bool(one['equal']) for one in found)} of {seeds}"
        return [fault, str(seeds), f"{self.passed} of {seeds}", lost, f"{most} ({flight})", equal]


class Collector:
    """A plugin of pytest that keeps what the tests recorded."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = dict(report.user_properties)
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        row = self.rows.setdefault(found.get("fault", report.nodeid), Row())
        row.passed += report.passed
        row.failed += report.failed
        row.skipped += report.skipped
        row.verdicts += [found["verdict"]] if "verdict" in found else []


def table_of(rows: Mapping[str, Row]) -> str:
    """Return the table in Markdown, under a line that says where it was measured."""
    lines = [*HEAD, *(f"| {' | '.join(row.cells(fault))} |" for fault, row in rows.items())]
    return f"{measured()}\n\n" + "".join(f"{line}\n" for line in lines)


def measured() -> str:
    """Return the line that says when and on which processor."""
    day = datetime.now(UTC).date().isoformat()
    return f"`make chaos`, {day}, {processor()}:"


def processor() -> str:
    """Return the processor's name, as the kernel has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names: Iterable[str] = (one.partition(":")[2].strip() for one in lines if "model name" in one)
    return next(iter(names), platform.machine())


def write(text: str) -> None:
    """Put the table into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2], encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Rehearse, write, and return pytest's exit code."""
    collector = Collector()
    chosen = arguments or ["-m", "chaos"]
    code = pytest.main([str(ROOT / "tests/chaos"), "-q", *chosen], plugins=[collector])
    text = table_of(collector.rows)
    if arguments:
        sys.stdout.write(text)
    elif collector.rows:
        write(text)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
