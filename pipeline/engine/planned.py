"""The cache keys of each stage's last run, finished or not: what `lipforge cache gc` must keep.

A stage that stopped half-way has no table yet, and a run that failed has another one; its finished
items are all that makes the next run short.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.atomic import write_text

PLANNED = Path(".cache/planned")


def note_planned(stage: str, keys: Sequence[str]) -> None:
    """Write down the keys of a run before it begins; those of the run before are forgotten."""
    write_text(PLANNED / f"{stage}.keys", "".join(f"{key}\n" for key in keys))


def planned() -> set[str]:
    """Return the keys of the last run of every stage of this workspace."""
    return {
        key for path in PLANNED.glob("*.keys") for key in path.read_text(encoding="utf-8").split()
    }
