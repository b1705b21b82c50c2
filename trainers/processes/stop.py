"""Graceful stop: the current step is finished and saved, the exit code tells DVC."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


class TrainingStopped(SystemExit):
    """Training was stopped by a signal after saving its state; a rerun resumes.

    As a SystemExit it ends any command with 143 (SIGTERM) or 130 (SIGINT), so that DVC takes the
    stage for failed and keeps no half-trained output.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class StopRequest:
    """A request to stop this process: by a signal or by a file."""

    def __init__(self, file: Path | None = None) -> None:
        """Watch for a file with the signal's number, where signals do not reach (Ray's workers)."""
        self._signum: int | None = None
        self._file = file

    @property
    def signum(self) -> int | None:
        """The signal, or None without a request."""
        if self._signum is None and self._file is not None and self._file.exists():
            self._signum = int(self._file.read_text() or signal.SIGTERM)
        return self._signum

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Take SIGTERM and SIGINT as requests; a second one has its default effect."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def note(signum: int, frame: FrameType | None) -> None:
            self._signum = signum
            _restore(before)

        for number in before:
            signal.signal(number, note)
        try:
            yield self
        finally:
            _restore(before)


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
