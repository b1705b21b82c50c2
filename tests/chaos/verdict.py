"""What is left of a run after a fault, in four numbers; the same question for every fault."""

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from tests.chaos.line import TABLES
from tests.chaos.rehearsal import Rehearsal


@dataclass(frozen=True)
class Undisturbed:
    """What the line gives when nothing happens."""

    outputs: dict[str, str]
    entries: dict[str, str]
    tables: dict[str, list[dict[str, Any]]]
    lines: int
    """Of the diary: twice as many as there are attempts, less the item that is broken."""

    @classmethod
    def of(cls, rehearsal: Rehearsal) -> "Undisturbed":
        tables = {stage: rehearsal.table(stage) for stage in TABLES}
        lines = len(rehearsal.site.attempts())
        return cls(rehearsal.outputs(), rehearsal.entries(), tables, lines)


@dataclass(frozen=True)
class Verdict:
    """The end of one rehearsal, after the rerun."""

    lost: int
    """Inputs without exactly one ending in a table."""
    repeated: int
    """Items that were begun more than once."""
    in_flight: int
    """So many may have been: what the fault can have hit."""
    equal: bool
    """Whether outputs and cached items have the bytes of an undisturbed run."""

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    def is_right(self) -> bool:
        return self.lost == 0 and self.repeated <= self.in_flight and self.equal


def judge(rehearsal: Rehearsal, undisturbed: Undisturbed, in_flight: int) -> Verdict:
    """Compare a workspace with one in which nothing happened."""
    equal = rehearsal.outputs() == undisturbed.outputs
    equal &= rehearsal.entries() == undisturbed.entries
    lost = sum(len(unaccounted(rehearsal, undisturbed, stage)) for stage in TABLES)
    return Verdict(lost, len(rehearsal.repeated()), in_flight, equal)


def unaccounted(rehearsal: Rehearsal, undisturbed: Undisturbed, stage: str) -> list[str]:
    """Return the inputs that a table has not, or more than once."""
    found = (
        Counter(row["item_id"] for row in rehearsal.table(stage)) if rehearsal.has(stage) else {}
    )
    return [row["item_id"] for row in undisturbed.tables[stage] if found.get(row["item_id"]) != 1]


def harmed(
    rehearsal: Rehearsal, undisturbed: Undisturbed, struck: Collection[int] = ()
) -> list[tuple[str, str]]:
    """Return the rows, but those of the items that were struck, that are not as they would be."""
    names = {f"{number:04d}" for number in struck}
    found = []
    for stage in (stage for stage in TABLES if rehearsal.has(stage)):
        right = {row["item_id"]: row for row in undisturbed.tables[stage]}
        ours = {row["item_id"]: row for row in rehearsal.table(stage)}
        found += [
            (stage, name) for name in {*right, *ours} - names if ours.get(name) != right[name]
        ]
    return sorted(found)
