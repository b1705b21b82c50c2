"""Runs as processes of one thread each, several at a time, until all are done or time is up."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.claims.runs import RESULT, Run
from pipeline.atomic import write_json

POLL_S = 0.2
GRACE_S = 30.0
"""For the step in progress and its checkpoint, once time is up."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass
class Progress:
    """Which runs wait, run, or have ended without a result."""

    waiting: list[Run]
    running: dict[str, tuple[Run, subprocess.Popen[bytes]]] = field(default_factory=dict)
    failed: list[Run] = field(default_factory=list)


def run_all(
    runs: Sequence[Run], jobs: int, budget_s: float, say: Callable[[str], None]
) -> Progress:
    """Start what has no result; return what is left when all is done or the budget is spent.

    A run whose time is up saves its state and goes on at the next call.
    """
    progress = Progress([run for run in runs if not run.finished])
    end = time.monotonic() + budget_s
    try:
        while (progress.waiting or progress.running) and time.monotonic() < end:
            _start(progress, jobs)
            _collect(progress, say)
            if not progress.running and progress.waiting and not _ready(progress):
                break  # what they need has failed
            time.sleep(POLL_S)
    finally:
        _stop(progress)
    return progress


def _ready(progress: Progress) -> list[Run]:
    return [run for run in progress.waiting if all(one.finished for one in run.needs)]


def _start(progress: Progress, jobs: int) -> None:
    for run in _ready(progress)[: max(0, jobs - len(progress.running))]:
        progress.waiting.remove(run)
        run.folder.mkdir(parents=True, exist_ok=True)
        write_json(run.folder / "run.json", run.order())
        progress.running[run.digest] = (run, _process(run.folder))


def _process(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.claims.run_one", str(folder)],
            env={**os.environ, **ONE_THREAD},
            stdout=log,
            stderr=log,
        )


def _collect(progress: Progress, say: Callable[[str], None]) -> None:
    for name, (run, process) in list(progress.running.items()):
        if process.poll() is None:
            continue
        del progress.running[name]
        if run.finished:
            seconds = run.result()["metrics"]["cpu_seconds"]
            left = len(progress.waiting) + len(progress.running)
            say(f"{name}: done in {seconds:.0f} CPU s; {left} left")
        else:
            progress.failed.append(run)
            say(f"{name}: ended with {process.returncode}, no {RESULT}:\n{_tail(run)}")


def _tail(run: Run) -> str:
    lines = (run.folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-8:])


def _stop(progress: Progress) -> None:
    """Ask what still runs to save and end; insist after a while."""
    for _, process in progress.running.values():
        process.send_signal(signal.SIGTERM)
    end = time.monotonic() + GRACE_S
    for run, process in progress.running.values():
        try:
            process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if not run.finished:
            progress.waiting.append(run)
    progress.running.clear()
