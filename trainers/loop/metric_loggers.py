"""Loggers of a run's metrics: JSON lines always, DVCLive and TensorBoard on request.

`metrics.jsonl` has no clock: a resumed run leaves the bytes of a run that never stopped.
`speed.jsonl`, TensorBoard's files and DVCLive's folder have, and are no output of DVC.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch

from pipeline.atomic import write_text
from pipeline.errors import ParamsError


class MetricLogger(Protocol):
    """Receives scalars by name."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log the scalars of a step."""

    def close(self) -> None:
        """Flush and close all files."""


class JsonLines:
    """One line per call. A resumed run first truncates the lines after its checkpoint."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        """Open the file and keep the lines up to the resumed step."""
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        kept = [line for line in whole if json.loads(line)["step"] <= resumed_step]
        write_text(path, "".join(kept) if resumed_step else "")
        self._stream = path.open("a", encoding="utf-8")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write a line; non-finite values become null."""
        row = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._stream.write(json.dumps({"step": step, **row}) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class TensorBoard:
    """Scalars for TensorBoard; a resumed run hides the steps after its checkpoint."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        """Start an event file.

        Raises:
            ParamsError: tensorboard is not installed.
        """
        _require("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=resumed_step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add the scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class DvcLive:
    """Plots for `dvc plots` and the VS Code extension; creates neither commits nor experiments."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        """Start or resume.

        Raises:
            ParamsError: dvclive is not installed.
        """
        _require("dvclive")
        options = {"save_dvc_exp": False, "dvcyaml": None, "monitor_system": False}
        self._live = import_module("dvclive").Live(str(folder), resume=resumed_step > 0, **options)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log the scalars of a step."""
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)
        self._live.make_summary()

    def close(self) -> None:
        """End the run."""
        self._live.end()


class Throughput:
    """Items per second and memory since the last call; measures time, hence a separate file."""

    def __init__(self, path: Path, resumed_step: int, device: torch.device) -> None:
        """Start the clock."""
        self._log = JsonLines(path, resumed_step)
        self._device, self._items, self._since = device, 0.0, time.perf_counter()

    def count(self, items: float) -> None:
        """Add the items of a step, summed over ranks."""
        self._items += items

    def write(self, step: int) -> None:
        """Write a line and reset."""
        now = time.perf_counter()
        values = {"items": self._items, "seconds": now - self._since}
        values["items_per_second"] = self._items / max(now - self._since, 1e-9)
        if self._device.type == "cuda":
            values["peak_gib"] = torch.cuda.max_memory_allocated(self._device) / 2**30
        self._log.log(step, values)
        self._items, self._since = 0.0, now

    def close(self) -> None:
        """Close the file."""
        self._log.close()


@contextmanager
def close_at_end(logs: list[MetricLogger]) -> Iterator[list[MetricLogger]]:
    """Close all of them at the end."""
    try:
        yield logs
    finally:
        for log in logs:
            log.close()


class RunningMeans:
    """Means since the last log line; saved in checkpoints, so that a resume keeps all steps."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        """Continue from a saved `state`."""
        self._sums: dict[str, float] = dict(state["sums"]) if state else {}
        self._count = int(state["count"]) if state else 0

    def add(self, values: Mapping[str, float]) -> None:
        """Add the values of a step."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def taken(self) -> dict[str, float]:
        """Return the means and reset."""
        means = {name: value / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means

    def state(self) -> dict[str, Any]:
        """Return the content for a checkpoint."""
        return {"sums": dict(self._sums), "count": self._count}


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise ParamsError(f"{package} is asked for but not installed: pip install {package}")
