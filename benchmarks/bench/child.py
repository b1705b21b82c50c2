"""Commands in processes of their own, with what they cost."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LOG = "bench.log"
"""What the commands of a workspace printed."""


class ChildFailedError(Exception):
    """A command that is measured ended with an error; says its last lines."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one command cost, its own children included."""

    wall_s: float
    cpu_s: float
    """User and system time, all threads."""
    peak_mb: float
    """Largest resident set of any one of its processes, in units of 10^6 bytes."""


def environment(**changes: str) -> dict[str, str]:
    """Return this process's variables for a measured command: no telemetry, weights of ours."""
    kept = {name: value for name, value in os.environ.items() if name != "LIPFORGE_CACHE"}
    weights = os.environ.get("LIPFORGE_WEIGHTS", str(ROOT / ".cache" / "weights"))
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LIPFORGE_WEIGHTS": str(Path(weights).absolute()),
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        **changes,
    }


def run_child(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Spent:
    """Run a command in `folder` and return its cost; what it prints goes to LOG there.

    Raises:
        ChildFailedError: it did not exit with 0.
    """
    return finished(start_child(command, folder, variables), folder)[0]


def start_child(
    command: Sequence[str], folder: Path, variables: Mapping[str, str]
) -> tuple["subprocess.Popen[bytes]", float]:
    """Start a command; return it and the time on the monotonic clock, for `finished`."""
    started_s = time.monotonic()
    with (folder / LOG).open("ab") as log:
        child = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
    return child, started_s


def finished(
    started: tuple["subprocess.Popen[bytes]", float], folder: Path
) -> tuple[Spent, "subprocess.Popen[bytes]"]:
    """Wait for the end of a child and return its cost.

    Raises:
        ChildFailedError: it did not exit with 0.
    """
    child, started_s = started
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - started_s
    if child.returncode:
        last = (folder / LOG).read_text("utf-8", errors="replace")[-800:]
        raise ChildFailedError(f"{child.args!r} ended with {child.returncode}: {last}")
    return Spent(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6), child


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return float(median(values))
