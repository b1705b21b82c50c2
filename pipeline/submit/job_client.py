"""A job of a Ray cluster, seen through the Jobs API of its dashboard: submit, follow, stop.

A connection that is lost is made again, a bounded number of times; the job goes on meanwhile. Every
request has a time limit: Ray's client has none. Log lines are printed once, however often the
connection is made: the server sends a log from its beginning, and what was printed is left out.
"""

import asyncio
import logging
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from pipeline.errors import ClusterError
from pipeline.faults import Caught, words

Answer = TypeVar("Answer")

TERMINAL = ("SUCCEEDED", "FAILED", "STOPPED")
ATTEMPTS = 12
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
"""Waits between attempts double; all together about four minutes."""
ANSWER_S = 30.0
POLL_S = 5.0
"""How often the status is asked for while the log is silent."""
SILENT_S = 300.0
"""A log silent for so long is opened anew: the connection may have died without a word."""
STOP_S = 60.0
"""A job that was asked to stop is waited for so long; Ray kills it after 30 s."""
_CHATTY = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
)
"""Ray's loggers that tell of every request."""
_STATUS_CODE = re.compile(r"status code (\d{3})")


class Job:
    """One job, by its submission id."""

    def __init__(self, address: str, job_id: str) -> None:
        """Connect to the dashboard.

        Raises:
            ClusterError: nothing there, or no Jobs API, or no admission.
        """
        self.address, self.id = address, job_id
        self._client = _client(address)
        self._printed = 0

    def submit(self, command: str, runtime_env: dict[str, Any], metadata: dict[str, str]) -> None:
        """Hand the job over; an answer that got lost does not start it twice.

        Raises:
            ClusterError: refused, or not reached after every attempt.
        """

        def once() -> None:
            self._client.submit_job(
                entrypoint=command,
                submission_id=self.id,
                runtime_env=runtime_env,
                metadata=metadata,
            )

        def unless_there() -> None:
            with Caught() as caught:
                once()
            if caught.error is None or self.is_mine(metadata):
                return
            if "already exists" in str(caught.error):
                fix = "name another --id, or `--attach` to it"
                raise ClusterError(f"{self.address} has a job {self.id} already; {fix}")
            raise caught.error

        self._patiently(unless_there, limit_s=None)

    def is_mine(self, metadata: Mapping[str, str]) -> bool:
        """Return whether the cluster has the job, submitted with this metadata; false: unknown."""
        with Caught():
            found = within(ANSWER_S, lambda: self._client.get_job_info(self.id).metadata)
            return bool(found == metadata)
        return False

    def status(self) -> str:
        """Return PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.

        Raises:
            ClusterError: the cluster does not know the job, or cannot be reached.
        """
        return str(self._patiently(lambda: self._client.get_job_status(self.id)).value)

    def metadata(self) -> Mapping[str, str]:
        """Return what was stored with the job when it was submitted."""
        found = self._patiently(lambda: self._client.get_job_info(self.id).metadata)
        return dict(found or {})

    def reason(self) -> str:
        """Return what Ray says of the job's end."""
        message = self._patiently(lambda: self._client.get_job_info(self.id).message) or ""
        return str(message).partition("\n")[0].partition(", last available logs")[0]

    def follow(self) -> str:
        """Print the log until the job has ended; return its status.

        Raises:
            ClusterError: the connection was lost for good; the job may go on.
        """
        failures = 0
        while True:
            printed = self._printed
            fault = self._print_log()
            status = self.status()
            if status in TERMINAL:
                if fault is not None:
                    self._print_rest()
                return status
            failures = 0 if self._printed > printed else failures + (fault is not None)
            if fault is None:
                time.sleep(POLL_S)
            else:
                self._wait(failures, fault)

    def stop(self) -> str:
        """Ask Ray to stop the job and wait for its end; return the last status.

        Raises:
            ClusterError: the cluster cannot be reached.
        """
        self._patiently(lambda: self._client.stop_job(self.id))
        until = time.monotonic() + STOP_S
        while (status := self.status()) not in TERMINAL and time.monotonic() < until:
            time.sleep(min(1.0, POLL_S))
        return status

    def _print_log(self) -> BaseException | None:
        """Print what is new until the log's end; return what broke it off, if anything did."""
        pieces: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read_log, args=(pieces,), daemon=True).start()
        seen, heard_s = 0, time.monotonic()
        while True:
            try:
                piece = pieces.get(timeout=POLL_S)
            except queue.Empty:
                if time.monotonic() - heard_s > SILENT_S or self.status() in TERMINAL:
                    return None
                continue
            if not isinstance(piece, str):
                return piece if isinstance(piece, BaseException) else None
            _print(piece[max(0, self._printed - seen) :])
            seen, heard_s = seen + len(piece), time.monotonic()
            self._printed = max(self._printed, seen)

    def _read_log(self, pieces: "queue.Queue[Any]") -> None:
        async def read() -> None:
            async for piece in self._client.tail_job_logs(self.id):
                pieces.put(piece)

        with Caught() as caught:
            asyncio.run(read())
        pieces.put(caught.error)

    def _print_rest(self) -> None:
        log = self._patiently(lambda: self._client.get_job_logs(self.id))
        _print(log[self._printed :])
        self._printed = max(self._printed, len(log))

    def _patiently(self, call: Callable[[], Answer], limit_s: float | None = ANSWER_S) -> Answer:
        for failures in range(1, ATTEMPTS + 1):
            with Caught() as caught:
                return call() if limit_s is None else within(limit_s, call)
            assert caught.error is not None, "the call returned or raised"
            self._refuse_final(caught.error)
            self._wait(failures, caught.error)
        raise AssertionError("the last wait raises")

    def _refuse_final(self, error: BaseException) -> None:
        """Raise where another attempt would end in the same way."""
        found = _STATUS_CODE.search(str(error))
        code = int(found[1]) if found else 0
        if code == 404:
            fix = "was its head started anew? finished items are cached: submit again"
            raise ClusterError(f"{self.address} knows no job {self.id}; {fix}") from error
        if isinstance(error, ClusterError):
            raise error
        if 400 <= code < 500 or not isinstance(error, OSError | RuntimeError | _lost()):
            said = str(error).strip().splitlines()[-1:] or [words(error)]
            raise ClusterError(f"{self.address}: {self.id}: {said[0]}") from error

    def _wait(self, failures: int, fault: BaseException) -> None:
        if failures >= ATTEMPTS:
            fix = f"the job may go on: `lipforge submit --attach {self.id}`"
            raise ClusterError(f"{self.address}: lost after {failures} attempts; {fix}") from fault
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (failures - 1))
        sys.stderr.write(
            f"{self.address}: connection lost ({_said(fault)}); the job goes on; attempt "
            f"{failures} of {ATTEMPTS - 1} in {wait_s:.0f} s\n"
        )
        time.sleep(wait_s)


def within(limit_s: float, call: Callable[[], Answer]) -> Answer:
    """Return what the call returns.

    Raises:
        TimeoutError: it did not in time; its thread is left behind.
    """
    box: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

    def run() -> None:
        answer = None
        with Caught() as caught:
            answer = call()
        box.put((answer, caught.error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = box.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError(f"no answer within {limit_s:.0f} s") from None
    if error is not None:
        raise error
    found: Answer = answer
    return found


def _client(address: str) -> Any:
    os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray prefers its variables to the argument
    submission: Any = import_module("ray.job_submission")
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    with Caught() as caught:
        return within(ANSWER_S, lambda: submission.JobSubmissionClient(address))
    error = caught.error
    assert error is not None, "the call returned or raised"
    if "ray[default]" in str(error):
        raise ClusterError("submitting needs `pip install 'lipforge[submit]'`") from error
    if type(error).__name__ == "AuthenticationError":
        fix = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's token"
        raise ClusterError(f"{address}: wants a token: {fix}") from error
    fix = "is it the dashboard's address (http://HEAD:8265), and has its head `ray[default]`?"
    raise ClusterError(f"{address}: no Jobs API answers ({words(error)}); {fix}") from error


def _said(fault: BaseException) -> str:
    found = _STATUS_CODE.search(str(fault))
    return f"HTTP {found[1]}" if found else words(fault)


def _lost() -> type[BaseException]:
    client: Any = import_module("aiohttp")
    found: type[BaseException] = client.ClientError
    return found


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
