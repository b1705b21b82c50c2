"""Metrics of a run as a CSV table, for DVC plots and the training report."""

import csv
import io
import json
from pathlib import Path

from pipeline.atomic import write_text


def write_learning_curves(metrics: Path, out: Path) -> None:
    """Write one row per step and one column per number of a run's `metrics.jsonl`.

    What was not measured at a step, or was no finite number, is an empty cell.

    Raises:
        StorageError: the disk is full or not writable.
    """
    steps: dict[int, dict[str, float]] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        steps.setdefault(values.pop("step"), {}).update(values)
    names = sorted({name for values in steps.values() for name in values})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", *names])
    for step, values in sorted(steps.items()):
        writer.writerow([step, *(values.get(name) for name in names)])
    write_text(out, text.getvalue())


def read_learning_curves(path: Path) -> list[dict[str, float | None]]:
    """Return the rows of such a table; empty cells are None."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: float(cell) if cell else None for name, cell in row.items()} for row in rows]
