"""Faults that strike inside of a worker, and the diary in which every attempt at an item stands.

Both lie in a folder outside of all outputs. A fault is a file `STAGE.NUMBER.ATTEMPT.KIND`; who
removes it has it, so it strikes once. Neither is part of an item's identity: the key is the same
with and without the fault.
"""

import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path

MEMORY = Path("/sys/fs/cgroup/memory")
GROUP_BYTES = 256 * 2**20
ALLOCATED_BYTES = 4 * GROUP_BYTES
HANG_S = 3600.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of the diary: a worker has begun an item, or has got to its end."""

    word: str
    stage: str
    number: int
    pid: int


@dataclass(frozen=True, slots=True)
class Site:
    """Where a rehearsal's diary and its faults lie."""

    folder: Path

    def note(self, word: str, stage: str, number: int) -> None:
        """Append a line, whole: it is one write."""
        with (self.folder / "diary").open("ab", buffering=0) as stream:
            stream.write(f"{word} {stage} {number} {os.getpid()}\n".encode())

    def attempts(self) -> list[Attempt]:
        """Return what was noted so far."""
        try:
            lines = (self.folder / "diary").read_text().splitlines()
        except FileNotFoundError:
            return []
        words = [line.split() for line in lines]
        return [Attempt(word, stage, int(n), int(pid)) for word, stage, n, pid in words]

    def plant(self, stage: str, number: int, kind: str, times: int = 1) -> None:
        """Let the next attempts at an item have a fault, which ends its process or not."""
        for attempt in range(times):
            (self.folder / f"{stage}.{number}.{attempt}.{kind}").touch()

    def heal(self) -> None:
        """Take away the faults that did not strike."""
        for kind in FAULTS:
            for path in self.folder.glob(f"*.{kind}"):
                path.unlink()

    def strike(self, stage: str, number: int) -> None:
        """Have the fault that was planted for this item, if any."""
        for path in sorted(self.folder.glob(f"{stage}.{number}.*"))[:1]:
            try:
                path.unlink()
            except FileNotFoundError:  # another attempt was faster
                continue
            FAULTS[path.suffix.removeprefix(".")]()


def _exception() -> None:
    raise ZeroDivisionError("a bug on purpose")


def _segmentation_fault() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    time.sleep(HANG_S)


def _killed_for_memory() -> None:
    """Go into a memory group of the kernel's and allocate more than it may have: SIGKILL."""
    group = own_group() / f"lipforge-chaos-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(GROUP_BYTES))
    (group / "cgroup.procs").write_text(str(os.getpid()))
    _allocate()


def _allocate() -> None:
    held = bytearray(ALLOCATED_BYTES)
    for start in range(0, ALLOCATED_BYTES, 4096):
        held[start] = 1
    raise AssertionError("the kernel gave more memory than the group may have")


def _fills_memory() -> None:
    """Allocate until Ray's memory monitor ends the worker; at most 8 GiB, and for a minute."""
    held = []
    for _ in range(32):
        held.append(b"\1" * 2**28)
        time.sleep(0.1)
    time.sleep(60.0)


def _memory_error() -> None:
    raise MemoryError


def own_group() -> Path:
    """Return the memory group of this process (cgroup version 1).

    Raises:
        OSError: there is none.
    """
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    found = [line.split(":")[2] for line in lines if line.split(":")[1] == "memory"]
    if not found or not MEMORY.is_dir():
        raise OSError("no memory groups of version 1")
    return MEMORY / found[0].lstrip("/")


FAULTS = {
    "exception": _exception,
    "segmentation_fault": _segmentation_fault,
    "hang": _hang,
    "killed_for_memory": _killed_for_memory,
    "fills_memory": _fills_memory,
    "memory_error": _memory_error,
}
