"""Runs one stage serially and writes how many CPU seconds each of its items took.

python -m benchmarks.bench.item_seconds STAGE OUT.json

An item's seconds are those of `Stage.process`, all threads. A stage that has no items (`select`,
`report`) counts with its whole `main`, imports left out.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipeline.engine.stage import Stage

Process = Callable[..., Any]


def timed(process: Process, seconds: list[float]) -> Process:
    """Return `process` that also appends the CPU seconds of each call."""

    @wraps(process)
    def run(*arguments: Any) -> Any:
        before = time.process_time()
        try:
            return process(*arguments)
        finally:
            seconds.append(time.process_time() - before)

    return run


def concrete_stages() -> list[type[Stage[Any, Any]]]:
    """Return every imported class below `Stage` that has a `process` of its own."""
    found = Stage.__subclasses__()
    for one in found:  # grows while it is walked
        found += one.__subclasses__()
    return [one for one in found if "process" in vars(one)]


def item_seconds(name: str) -> list[float]:
    """Run `stages.<name>` in the working directory and return the seconds of its items."""
    module = importlib.import_module(f"stages.{name}")
    seconds: list[float] = []
    for stage in concrete_stages():
        patch.object(stage, "process", timed(stage.process, seconds)).start()
    before = time.process_time()
    module.main()
    return seconds or [time.process_time() - before]


def main() -> None:
    """Run one stage and write its list."""
    name, out = sys.argv[1:]
    Path(out).write_text(json.dumps(item_seconds(name)))


if __name__ == "__main__":
    main()
