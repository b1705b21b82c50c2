"""Commands in processes of their own, with what they cost."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LAUNCHER = Path(__file__).with_name("launcher.py")
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


class Child:
    """A command that is running in a folder; what it prints goes to LOG there."""

    def __init__(self, command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
        self.command, self.folder = command, folder
        self.cost = folder / f"cost-{uuid.uuid4().hex}.json"
        launched = [sys.executable, "-I", "-S", str(LAUNCHER), str(self.cost), *command]
        with (folder / LOG).open("ab") as log:
            self.launcher = subprocess.Popen(
                launched, cwd=folder, env=variables, stdout=log, stderr=log
            )

    def pid(self) -> int:
        """Return the command's process; 0 while it has not started or when it has ended."""
        launcher = self.launcher.pid
        try:
            found = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
        except OSError:
            return 0
        return int(found[0]) if found else 0

    def finished(self) -> Spent:
        """Wait for the end and return the cost.

        Raises:
            ChildFailedError: it did not exit with 0.
        """
        if code := self.launcher.wait():
            last = (self.folder / LOG).read_text("utf-8", errors="replace")[-800:]
            raise ChildFailedError(f"{' '.join(self.command)} ended with {code}: {last}")
        found = json.loads(self.cost.read_text("utf-8"))
        self.cost.unlink()
        return Spent(**found)


def run_child(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Spent:
    """Run a command in `folder` and return its cost.

    Raises:
        ChildFailedError: it did not exit with 0.
    """
    return Child(command, folder, variables).finished()


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return float(median(values))
