"""A workspace in which the line in small runs as child processes, and what is found there."""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipeline.digest import file_sha256
from pipeline.engine.manifest import read_table
from tests.chaos.faults import Site
from tests.chaos.line import TABLES
from tests.conftest import ROOT

ITEMS = 40
WORKERS = 2
PATIENCE_S = 300.0
"""A run that has not ended by then hangs: a failure of the suite, not a measure of speed."""
KEPT_BETWEEN_RUNS = ("ray", "weights")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, and what it said."""

    code: int
    said: str

    def lines(self) -> list[str]:
        """Return what was said besides progress."""
        progress = tuple(f"{stage}: {word}:" for stage in TABLES for word in ("done", "stopped"))
        return [line for line in self.said.splitlines() if not line.startswith(progress)]


@dataclass
class Run:
    """A line that is running."""

    process: "subprocess.Popen[str]"
    log: Path

    def end(self) -> Ended:
        """Wait for it."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the run hangs: {self.log.read_text()}") from None
        return Ended(code, self.log.read_text(errors="replace"))

    def is_over(self) -> bool:
        return self.process.poll() is not None


@dataclass
class Rehearsal:
    """The workspace `home`, emptied but for its Ray; diary, faults and logs are in `folder`."""

    home: Path
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    items: int = ITEMS
    runs: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.site = Site(self.folder)
        self.clear()

    def clear(self) -> None:
        """Remove tables, cached items and notes of earlier runs; Ray may stay."""
        shutil.rmtree(self.home / "data", ignore_errors=True)
        cache = self.home / ".cache"
        cache.mkdir(parents=True, exist_ok=True)
        for path in cache.iterdir():
            if path.is_dir() and path.name not in KEPT_BETWEEN_RUNS:
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_file():
                path.unlink()
        shutil.copy(ROOT / "params.yaml", self.home / "params.yaml")

    def start(self, last: str = "bundle", **variables: str) -> Run:
        """Start the line up to a stage."""
        self.runs += 1
        log = self.folder / f"run-{self.runs}.log"
        command = [sys.executable, "-m", "tests.chaos.line", str(self.folder), str(self.items)]
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*command, last],
                cwd=self.home,
                env={**environment(), **self.variables, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                text=True,
            )
        return Run(process, log)

    def run(self, last: str = "bundle", **variables: str) -> Ended:
        """Run the line up to a stage."""
        return self.start(last, **variables).end()

    def wait_for(self, lines: int, run: Run) -> None:
        """Wait until the diary has so many lines, or the run is over."""
        until = time.monotonic() + PATIENCE_S
        while len(self.site.attempts()) < lines and not run.is_over():
            assert time.monotonic() < until, "no progress"
            time.sleep(0.005)

    def in_work(self) -> list[int]:
        """Return the processes of workers that have begun an item and not got to its end."""
        last = {one.pid: one.word for one in self.site.attempts()}
        return [pid for pid, word in last.items() if word == "begin" and psutil.pid_exists(pid)]

    def outputs(self) -> dict[str, str]:
        """Return the SHA-256 of every output."""
        return hashes(self.home / "data", without={"again"})

    def entries(self) -> dict[str, str]:
        """Return the SHA-256 of every file of a cached item."""
        return hashes(self.home / ".cache/items", without={"tmp", "roots"})

    def times(self) -> dict[str, int]:
        """Return when each entry of the item cache was written, in ns."""
        found = (self.home / ".cache/items").glob("??/*/meta.json")
        return {path.parent.name: path.stat().st_mtime_ns for path in found}

    def table(self, stage: str) -> list[dict[str, Any]]:
        """Return the rows of a table, or of what a failed stage wrote in its place."""
        path = self.home / TABLES[stage]
        return read_table(path if path.exists() else path.with_suffix(".failed.parquet"))

    def has(self, stage: str) -> bool:
        path = self.home / TABLES[stage]
        return path.exists() or path.with_suffix(".failed.parquet").exists()

    def endings(self, stage: str) -> dict[int, tuple[str, str]]:
        """Return status and reason of every item."""
        return {int(row["item_id"]): (row["status"], row["reason"]) for row in self.table(stage)}

    def repeated(self) -> list[tuple[str, int]]:
        """Return the items that were begun more than once."""
        begun = Counter((a.stage, a.number) for a in self.site.attempts() if a.word == "begin")
        return sorted(item for item, times in begun.items() if times > 1)


def hashes(folder: Path, without: Set[str]) -> dict[str, str]:
    """Return name -> SHA-256 of every file below a folder, some folders left out."""
    names = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    chosen = {name: path for name, path in names.items() if not without & {*Path(name).parts}}
    return {name: file_sha256(path) for name, path in sorted(chosen.items())}


def environment() -> dict[str, str]:
    """Return this process' variables, without what pytest, a cache or a cluster has set."""
    names = ("PYTEST_", "LIPFORGE_", "AWS_", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return {**kept, "PYTHONPATH": str(ROOT), "LIPFORGE_WORKERS": str(WORKERS)}
