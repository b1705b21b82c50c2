"""Which judges scored the clips of a run, in which mode, and whether as a fallback."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def judges_used(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count the kept rows of `sync` by judge, mode and fallback, sorted.

    Returns:
        One dict each: `judge`, `mode`, `fallback` (empty: as params.yaml asks), `clips`.
    """
    scored = (row for row in rows if row["status"] == "kept")
    found = Counter((str(row["judge"]), str(row["mode"]), str(row["fallback"])) for row in scored)
    return [
        {"judge": judge, "mode": mode, "fallback": fallback, "clips": clips}
        for (judge, mode, fallback), clips in sorted(found.items())
    ]


def fallback_notes(used: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one sentence for every fallback: how many clips, whose numbers, and why."""
    return [
        f"{one['clips']} clip{'' if one['clips'] == 1 else 's'} scored by the judge "
        f"{one['judge']} and not by the one that params.yaml asks for: {one['fallback']}"
        for one in used
        if one["fallback"]
    ]
