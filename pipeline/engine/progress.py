"""Progress of a stage: a bar on a terminal, plain lines in a log, and untracked events.jsonl."""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from pipeline.engine.outcome import STATUSES, Outcome, trace_of

EVENTS = Path(".cache/events.jsonl")
"""Clock, machine and timing facts: never an output, never read by a stage."""
LINE_EVERY_S = 10.0
WRITE_EVERY_S = 1.0
"""Events are written together; a bug's traceback at once."""


class Progress:
    """Counts endings; `with` it around the run."""

    def __init__(self, stage: str, total: int, events: Path = EVENTS) -> None:
        self.stage, self.total, self.events = stage, total, events
        self.counts: Counter[str] = Counter()
        self.cached = 0
        self.terminal = sys.stderr.isatty()
        self.started_s = self.last_line_s = self.written_s = time.monotonic()
        self.waiting: list[str] = []

    def __enter__(self) -> "Progress":
        self.events.parent.mkdir(parents=True, exist_ok=True)
        self.stream = self.events.open("a", encoding="utf-8")
        self.bar = tqdm(total=self.total, desc=self.stage, unit="item", disable=not self.terminal)
        self._event(event="start", total=self.total)
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()
        stopped = isinstance(error, Exception)  # neither Ctrl-C nor a reader who has enough
        what = {"trace": trace_of(error)} if stopped and error else {}
        self._event(event="stopped" if kind else "end", **self._numbers(), **what)
        self._write()
        self.stream.close()
        self._line("stopped" if kind else "done")

    def add(self, outcome: Outcome) -> None:
        """Count one ending."""
        self.counts[outcome.status] += 1
        self.cached += outcome.cached
        self.bar.update()
        self.bar.set_postfix(dict(self.counts), refresh=False)
        facts = {"item": outcome.item_id, "status": outcome.status, "reason": outcome.reason}
        trace = {"trace": outcome.trace} if outcome.trace else {}
        self._event(event="item", cached=outcome.cached, **facts, **trace)
        if trace or time.monotonic() - self.written_s > WRITE_EVERY_S:
            self._write()
        if not self.terminal and time.monotonic() - self.last_line_s > LINE_EVERY_S:
            self._line("running")

    def _numbers(self) -> dict[str, int]:
        return {status: self.counts[status] for status in STATUSES}

    def _line(self, state: str) -> None:
        self.last_line_s = time.monotonic()
        done = sum(self.counts.values())
        spent = self.last_line_s - self.started_s
        left = f", {spent / done * (self.total - done):.0f} s left" if 0 < done < self.total else ""
        numbers = ", ".join(f"{count} {name}" for name, count in self._numbers().items() if count)
        endings = f" ({numbers}; {self.cached} from cache)" if numbers else ""
        text = f"{self.stage}: {state}: {done}/{self.total}{endings}"
        sys.stderr.write(f"{text} after {spent:.0f} s{left}\n")

    def _event(self, **facts: object) -> None:
        record = {"time_s": round(time.time(), 3), "pid": os.getpid(), "stage": self.stage, **facts}
        self.waiting.append(json.dumps(record) + "\n")

    def _write(self) -> None:
        self.stream.write("".join(self.waiting))
        self.stream.flush()
        self.waiting.clear()
        self.written_s = time.monotonic()
