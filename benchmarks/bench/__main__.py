"""Measures the targets and prints the table: python -m benchmarks.bench [--only NAME] [--quick].

Writes reports/bench.json and reports/bench.md, again after each kind of measurement, so that what
was measured stays when a later one is stopped. Exit code 1 where a command that is measured failed
or a check beside a number did not hold; a missed target is no error.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.bench import (
    empty_items,
    film,
    gpu,
    line,
    memory,
    overhead,
    syncnet,
    unchanged,
)
from benchmarks.bench.child import ROOT, ChildFailedError
from benchmarks.bench.machine import machine
from benchmarks.bench.rows import Kind, Options, Row
from benchmarks.bench.table import markdown, write_reports

Measure = Callable[[Options], list[Row]]
KINDS: tuple[tuple[Kind, Measure], ...] = (
    (line.HD, line.hd_clips),
    (line.ALL, line.all_clips),
    (film.KIND, film.long_film),
    (overhead.KIND, overhead.repro_overhead),
    (empty_items.KIND, empty_items.empty_items),
    (unchanged.KIND, unchanged.unchanged),
    (syncnet.KIND, syncnet.against_the_package),
    (memory.KIND, memory.peak_memory),
    (gpu.KIND, gpu.on_the_gpu),
)
NAMES = [kind.name for kind, _ in KINDS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write both files, print the table; return the exit code."""
    given = parser().parse_args(arguments)
    wanted = given.only or NAMES
    options = Options(
        clips=given.clips.absolute(),
        work=given.work.absolute(),
        quick=given.quick,
        repeats=1 if given.quick else given.repeats,
        minutes=given.minutes,
        items=given.items,
    )
    facts = machine()
    rows: list[Row] = []
    for kind, measure in KINDS:
        if kind.name in wanted:
            print(f"{kind.name} ...", file=sys.stderr, flush=True)
            rows += attempted(kind, measure, options)
            write_reports(given.reports, rows, facts, _stated(options))
    print(markdown(rows, facts, options.quick))
    return 1 if any(row.held is False for row in rows) else 0


def attempted(kind: Kind, measure: Measure, options: Options) -> list[Row]:
    """Measure one kind; where a measured command fails, its rows say so and the rest goes on."""
    try:
        return measure(options)
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        return [
            replace(row, check="the measured command ends with 0", held=False)
            for row in kind.not_run("a measured command failed, see above")
        ]


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.bench", description=__doc__.splitlines()[0])
    made.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    made.add_argument("--quick", action="store_true", help="small inputs; judges no target")
    made.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "clips")
    made.add_argument("--repeats", type=int, default=3, help="of what takes a few minutes")
    made.add_argument("--minutes", type=int, default=10, help="length of the long films")
    made.add_argument("--items", type=int, default=100_000, help="empty items for Ray")
    made.add_argument("--work", type=Path, default=ROOT / ".cache" / "bench")
    made.add_argument("--reports", type=Path, default=ROOT / "reports")
    return made


def _stated(options: Options) -> dict[str, object]:
    """Return the options without paths."""
    return {name: v for name, v in asdict(options).items() if not isinstance(v, Path)}


if __name__ == "__main__":
    sys.exit(main())
