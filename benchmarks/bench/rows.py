"""One line of the table: what was measured, the target, the check beside it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

AT_MOST, AT_LEAST = "<=", ">="


@dataclass(frozen=True, slots=True)
class Options:
    """What one run of the benchmarks was asked for."""

    clips: Path
    """Folder of real clips; may be absent."""
    work: Path
    """Where made films and workspaces lie."""
    quick: bool = False
    """Small inputs, to show that everything runs: no target is judged."""
    repeats: int = 3
    """Runs of what takes less than a few minutes; the median counts."""
    minutes: int = 10
    """Length of the films in the rows about one long film."""
    items: int = 100_000
    """Empty items for Ray."""


@dataclass(frozen=True, slots=True)
class Target:
    """The limit of a row, and on which side of it is good."""

    limit: float
    side: str = AT_MOST

    def reached(self, value: float) -> bool:
        """Return whether a value is on the good side."""
        return value <= self.limit if self.side == AT_MOST else value >= self.limit

    def __str__(self) -> str:
        return f"{self.side} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value."""

    name: str
    """Which kind of measurement: `--only` takes it."""
    what: str
    unit: str
    target: Target
    value: float | None = None
    """Median of the runs; None where it was not measured."""
    runs: int = 0
    check: str = ""
    """What was compared beside the number."""
    held: bool | None = None
    """Whether the check held."""
    note: str = ""
    """The definition in short, or why there is no number."""
    details: dict[str, Any] = field(default_factory=dict)
    """Single runs and parts, for the JSON."""

    def verdict(self, quick: bool) -> str:
        """Return `reached`, `missed`, or why neither is said."""
        if self.held is False:
            return "CHECK FAILED"
        if self.value is None:
            return "not run"
        if quick:
            return "not judged"
        return "reached" if self.target.reached(self.value) else "missed"

    def as_json(self, quick: bool) -> dict[str, Any]:
        """Return the row with its verdict, as plain values."""
        return {**asdict(self), "target": str(self.target), "verdict": self.verdict(quick)}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of measurement without numbers yet: the rows that it fills."""

    name: str
    rows: tuple[Row, ...]

    def not_run(self, why: str) -> list[Row]:
        """Return the rows with the reason in place of a number."""
        return [
            Row(row.name, row.what, row.unit, row.target, note=f"not run: {why}")
            for row in self.rows
        ]
