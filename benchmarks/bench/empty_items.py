"""Ray alone: a stage whose items do nothing, without an item cache behind it.

Milliseconds are wall clock from the first item that came back to the last, over the items, with two
workers: starting Ray and its workers is left out. The driver's memory is the resident set at 10, 50
and 100 % of the items; endings are dropped as they come. What it does not show: the list of endings
that a stage keeps for its table, and the item cache, which writes one `meta.json` per item.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.bench.child import environment, middle, python, run_child
from benchmarks.bench.rows import Kind, Options, Row, Target
from pipeline.engine.outcome import Work
from pipeline.engine.ray_runner import RayRunner
from pipeline.engine.stage import Stage

KIND = Kind(
    "empty",
    (
        Row("empty", "Ray, an empty item", "ms", Target(1.5)),
        Row("empty", "Ray, the driver's memory at 100 % over that at 10 %", "x", Target(1.1)),
    ),
)
WORKERS = 2
SAMPLED = (0.1, 0.5, 1.0)
CHECK = "every item came back kept, once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """The row of an empty item."""

    number: int


class Nothing(Stage[int, Number]):
    """Items that do nothing."""

    name: ClassVar[str] = "nothing"
    version: ClassVar[str] = "1"

    def item_id(self, item: int) -> str:
        """Return the number."""
        return f"{item:06d}"

    def identity(self, item: int) -> Mapping[str, Any]:
        """Return the number."""
        return {"number": item}

    def process(self, item: int, workdir: Path) -> Sequence[Number]:
        """Return one row."""
        return [Number(number=item)]


class NoCache:
    """An item cache that keeps nothing: one folder, never written to."""

    @contextmanager
    def workdir(self) -> Iterator[Path]:
        """Give a folder that exists."""
        yield Path(tempfile.gettempdir())

    def lookup(self, key: str) -> Mapping[str, Any] | None:
        """Return that nothing is stored."""
        return None

    def lookup_many(self, stage: str, keys: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Return what `lookup` returns of each."""
        found = {key: self.lookup(key) for key in keys}
        return {key: stored for key, stored in found.items() if stored is not None}

    def remember(self, stage: str, keys: Iterable[str]) -> None:
        """Remember nothing."""

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold nothing."""
        yield

    def stage_of(self, key: str) -> str:
        """Return that nothing is known."""
        return ""

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """Drop the result."""

    def place(self, key: str, name: str) -> Path:
        """Return a path that nobody asks for."""
        return Path(name)

    def artifact_path(self, key: str, name: str) -> Path:
        """Return a path that nobody asks for."""
        return Path(name)

    def forget(self, key: str) -> None:
        """Drop nothing."""

    def sweep(self) -> None:
        """Drop nothing."""

    def keys(self) -> Iterator[str]:
        """Yield nothing."""
        yield from ()


def work(items: int) -> list[Work]:
    """Return the items, named and keyed as a stage's plan would."""
    return [Work(f"{number:06d}", f"{number:064x}", number) for number in range(items)]


def resident_mb() -> float:
    """Return this process's resident set in units of 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def drive(items: int, workers: int = WORKERS) -> dict[str, Any]:
    """Run so many empty items; return seconds, memory at SAMPLED, and what came back."""
    marks = {max(1, round(share * items)): share for share in SAMPLED}
    names: set[int] = set()
    memory: dict[str, float] = {}
    first_s = last_s = first_cpu_s = 0.0
    for outcome in RayRunner(workers).run(Nothing(), work(items), NoCache()):
        last_s = time.monotonic()
        if not first_s:
            first_s, first_cpu_s = last_s, time.process_time()
        if outcome.status == "kept":
            names.add(int(outcome.item_id))
        if (done := len(names)) in marks:
            memory.setdefault(f"{marks[done]:.0%}", resident_mb())
    return {
        "seconds": last_s - first_s,
        "driver_cpu_s": time.process_time() - first_cpu_s,
        "memory_mb": memory,
        "kept": len(names),
        "items": items,
    }


def empty_items(options: Options) -> list[Row]:
    """Measure in a process of its own, whose memory is the driver's."""
    items = 2000 if options.quick else options.items
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "empty.json"
        command = python("benchmarks.bench.empty_items", str(items), str(out))
        run_child(command, Path(folder), environment(LIPFORGE_WORKERS=str(WORKERS)))
        return filled(json.loads(out.read_text()))


def filled(found: Mapping[str, Any]) -> list[Row]:
    """Return both rows."""
    memory, items = found["memory_mb"], found["items"]
    each_ms = 1000 * found["seconds"] / max(1, items - 1)
    driver_ms = 1000 * found["driver_cpu_s"] / max(1, items - 1)
    values = (each_ms, memory["100%"] / memory["10%"])
    at = ", ".join(f"{share} {mb:.0f} MB" for share, mb in memory.items())
    ran = f"{items} items, {WORKERS} workers, no item cache; driver {driver_ms:.2f} CPU-ms an item"
    notes = (ran, f"resident at {at}")
    return [
        Row(
            row.name,
            row.what,
            row.unit,
            row.target,
            value=middle([value]),
            runs=1,
            check=CHECK,
            held=found["kept"] == items,
            note=note,
            details=dict(found),
        )
        for row, value, note in zip(KIND.rows, values, notes, strict=True)
    ]


def main() -> None:
    """Drive the items that the command line asks for and write what was found."""
    items, out = sys.argv[1:]
    Path(out).write_text(json.dumps(drive(int(items))))


if __name__ == "__main__":
    main()
