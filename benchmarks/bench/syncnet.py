"""The SyncNet judge against the package syncnet-python, on equal input in memory, as a ratio.

Measured by `benchmarks.judge.measure`, which alternates both and asserts nothing: whether the
results are equal is its answer's `equal`. What it does not show: reading files, cutting crops.
"""

import os
from typing import Any

from benchmarks import judge
from benchmarks.bench.rows import AT_LEAST, Kind, Options, Row, Target
from benchmarks.reference import NotInstallableError

KIND = Kind(
    "syncnet",
    (
        Row("syncnet", "SyncNet judge / `syncnet-python`, wall", "x", Target(1.5, AT_LEAST)),
        Row("syncnet", "SyncNet judge / `syncnet-python`, CPU", "x", Target(1.5, AT_LEAST)),
    ),
)
FRAMES, QUICK_FRAMES = 105, 40
CHECK = "offset, confidence and distance equal"


def against_the_package(options: Options) -> list[Row]:
    """Measure with one thread per core, of which two at most are used."""
    measure: Any = getattr(judge, "measure", None)
    if measure is None:
        return KIND.not_run("benchmarks/judge.py has no measure() here")
    threads = min(2, os.cpu_count() or 1)
    frames = QUICK_FRAMES if options.quick else FRAMES
    try:
        found = measure(threads=threads, frames=frames, repeats=options.repeats)
    except NotInstallableError as error:
        return KIND.not_run(str(error))
    return [
        Row(
            row.name,
            row.what,
            row.unit,
            row.target,
            value=value,
            runs=options.repeats,
            check=CHECK,
            held=bool(found.equal),
            note=f"{threads} threads, {frames} frames",
        )
        for row, value in zip(KIND.rows, (found.ratio_wall, found.ratio_cpu), strict=True)
    ]
