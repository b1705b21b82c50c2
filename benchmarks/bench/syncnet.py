"""The SyncNet judge against the package syncnet-python, on equal input in memory, as a ratio.

Measured by `benchmarks.judge.measure`, which alternates both and asserts that their results are
equal. What it does not show: reading files, cutting crops.
"""

from dataclasses import replace

from benchmarks import judge
from benchmarks.bench.rows import AT_LEAST, Kind, Options, Row, Target
from benchmarks.reference import NotInstallableError
from pipeline.limits import usable_cpus

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
    threads = min(2, usable_cpus())
    frames = QUICK_FRAMES if options.quick else FRAMES
    try:
        found = judge.measure(threads, frames, options.repeats)
    except NotInstallableError as error:
        return KIND.not_run(str(error))
    except AssertionError as error:
        return [replace(row, check=CHECK, held=False, note=str(error)) for row in KIND.rows]
    note = f"{threads} threads, {frames} frames"
    return [
        replace(row, value=value, runs=options.repeats, check=CHECK, held=True, note=note)
        for row, value in zip(KIND.rows, (found.wall_ratio, found.cpu_ratio), strict=True)
    ]
