"""What the driver costs at a million items: python -m benchmarks.scale --items 1000000.

Runs every step at a hundredth, a tenth and the whole of the items, each in a process of its own,
and prints a table: CPU seconds, seconds, peak memory, bytes written. No film is read and no worker
starts. `--costs` prints the tables of docs/scale.md instead.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.child import environment
from benchmarks.bench.machine import processor
from benchmarks.scale.page import pages_tables
from benchmarks.scale.step import NEEDED, STEPS

HEAD = "| step | items | CPU-s | wall s | CPU-ms an item | peak MB | KB an item | written |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--items", type=int, default=100_000, help="the largest of three sizes")
    parser.add_argument("--costs", action="store_true", help="print the tables of docs/scale.md")
    parser.add_argument("--only", choices=STEPS, nargs="*", default=list(STEPS), metavar="STEP")
    parser.add_argument("--work", type=Path, help="folder that is kept, with what was written")
    given = parser.parse_args(arguments)
    if given.costs:
        print(pages_tables())
        return 0
    sizes = sorted({max(100, given.items // 100), max(100, given.items // 10), given.items})
    print(f"{processor()}\n\n{HEAD}\n|---|" + "---:|" * 6 + "---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for found in simulated(given.work or Path(folder), sizes, given.only):
            print(line(found), flush=True)
    return 0


def simulated(work: Path, sizes: Sequence[int], only: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Take the steps at every size; yield what each of them cost."""
    for name in STEPS:
        for items in sizes if {name, *NEEDED.get(name, ())} & {*only} else ():
            found = one_step(work / str(items), name, items)
            if name not in NEEDED:
                yield found


def one_step(folder: Path, name: str, items: int) -> dict[str, Any]:
    """Take one step in a process of its own.

    Raises:
        CalledProcessError: it failed; what it said is on stderr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.scale.step", name, str(items)]
    variables = environment(LIPFORGE_RUNNER="serial")
    done = subprocess.run(command, cwd=folder, env=variables, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def line(found: dict[str, Any]) -> str:
    """Return one line of the table."""
    items = found["items"]
    grown_kb = (found["peak_mb"] - found["before_mb"]) * 1e3 / items
    written = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in found["bytes"].items())
    cells = (
        found["step"],
        f"{items:,}",
        f"{found['cpu_s']:.1f}",
        f"{found['wall_s']:.1f}",
        f"{1e3 * found['cpu_s'] / items:.3f}",
        f"{found['peak_mb']:.0f}",
        f"{grown_kb:.2f}",
        written,
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
