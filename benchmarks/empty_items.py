"""What the engine itself costs: empty items through Ray; seconds per item, the driver's memory.

python -m benchmarks.empty_items [NUMBER ...]

Each number of items runs in a process of its own, with an empty item cache and two workers, and
again with all of them cached. Wall clock, CPU seconds of the driver, and its peak memory less what
it had before the first item. Correct is: every item has the ending it must have.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.engine.cache import LocalCache
from pipeline.engine.command import counts, run_main, run_stage
from pipeline.engine.stage import Reject, Stage

ROOT = Path(__file__).parents[1]


class Empty(Stage[int, Any]):
    """Rejects every number: no work, no file."""

    name = "empty"
    version = "1"

    def item_id(self, item: int) -> str:
        """Return the number."""
        return f"{item:08d}"

    def identity(self, item: int) -> Mapping[str, Any]:
        """Return the number."""
        return {"number": item}

    def process(self, item: int, workdir: Path) -> Sequence[Any] | Reject:
        """Reject."""
        return Reject("empty")


def peak_mib() -> float:
    """Return the most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(number: int, folder: Path) -> None:
    """Run the items twice and print one line for each run."""
    run_stage(Empty(), [-1], cache=LocalCache(folder))  # Ray and its workers start before the clock
    for state in ("new", "cached"):
        clock, cpu, memory = time.monotonic(), time.process_time(), peak_mib()
        found = counts(run_stage(Empty(), range(number), cache=LocalCache(folder)))
        assert found["rejected"] == number, found
        wall_ms = (time.monotonic() - clock) / number * 1e3
        cpu_ms = (time.process_time() - cpu) / number * 1e3
        grown = peak_mib() - memory
        print(
            f"{number:7d} items, {state:6}: {wall_ms:.2f} ms wall, {cpu_ms:.2f} ms CPU of the "
            f"driver per item; driver {peak_mib():.0f} MiB, {grown:.0f} MiB more than before",
            flush=True,
        )


def main() -> None:
    """Print the table, or measure one number in a workspace of its own."""
    if sys.argv[1:2] == ["--one"]:
        run_main(lambda: measured(int(sys.argv[2]), Path("items")))
        return
    for number in sys.argv[1:] or ["10000", "50000", "100000"]:
        command = [sys.executable, "-m", "benchmarks.empty_items", "--one", number]
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "PYTHONPATH": str(ROOT), "LIPFORGE_WORKERS": "2"}
            subprocess.run(command, cwd=folder, env=env, check=True)


if __name__ == "__main__":
    main()
