"""Stages that Ray workers can import, one for each way an item can end."""

import ctypes
import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.engine.command import item_key
from pipeline.engine.stage import Reject, Stage
from pipeline.errors import DecodeError, UnreadableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    number: int
    half: int
    artifact: str = ""


class Halve(Stage[int, Half]):
    """Even numbers are halved, odd ones rejected, 13 is broken. Counts its calls in a folder."""

    name = "halve"
    version = "1"

    def __init__(self, calls: Path | None = None, slow_s: float = 0.0) -> None:
        self.calls, self.slow_s = calls, slow_s

    def item_id(self, item: int) -> str:
        return f"{item:04d}"

    def identity(self, item: int) -> Mapping[str, Any]:
        return {"number": item}

    def process(self, item: int, workdir: Path) -> Sequence[Half | Reject] | Reject:
        time.sleep(self.slow_s)
        if self.calls:
            (self.calls / f"{item}-{time.monotonic_ns()}").touch()
        if item == 13:
            raise DecodeError("broken")
        if item % 2:
            return Reject("odd")
        (workdir / "half.txt").write_text(str(item // 2))
        return [Half(number=item, half=item // 2)]


class Deadly(Halve):
    """Item 6 raises what nobody expects, 8 segfaults, 10 hangs, 12 is killed."""

    name = "deadly"

    def deadline_s(self, item: int) -> float:
        return 2.0 if item == 10 else 60.0

    def process(self, item: int, workdir: Path) -> Sequence[Half | Reject] | Reject:
        if item == 6:
            raise ZeroDivisionError("a bug")
        if item == 8:
            ctypes.string_at(0)
        if item == 10:
            time.sleep(600)
        if item == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().process(item, workdir)


class BadWeights(Halve):
    name = "bad_weights"

    def setup(self) -> None:
        raise DecodeError("weights are altered")


class Unreadable(Halve):
    name = "unreadable"

    def process(self, item: int, workdir: Path) -> Sequence[Half | Reject] | Reject:
        raise UnreadableError("the network is down")


class NeedsArtifact(Halve):
    """Reads the file that `Halve` wrote for the item."""

    name = "quality"

    def artifacts(self, item: int) -> Sequence[tuple[str, str]]:
        return [(item_key(Halve(), item), "half.txt")]


class Interrupted(Halve):
    """The disk is gone while a decoder reads: it takes the stream for broken."""

    name = "interrupted"

    def process(self, item: int, workdir: Path) -> Sequence[Half | Reject] | Reject:
        try:
            raise OSError(errno.EIO, "Input/output error")
        except OSError as error:
            raise DecodeError("the stream is broken") from error


class CrashesInCompany(Halve):
    """Item 8 dies the first time, as of a memory shortage that others caused."""

    name = "crashes_in_company"

    def process(self, item: int, workdir: Path) -> Sequence[Half | Reject] | Reject:
        assert self.calls
        if item == 8 and not list(self.calls.glob("8-*")):
            (self.calls / "8-first").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().process(item, workdir)


class Stopped(Halve):
    """The user stops the run at item 6."""

    name = "stopped"

    def process(self, item: int, workdir: Path) -> Sequence[Half | Reject] | Reject:
        if item == 6:
            raise KeyboardInterrupt
        return super().process(item, workdir)


@dataclass(frozen=True, slots=True)
class Optional:
    """A number, and whether the work that may crash is done for it, too."""

    number: int
    risky: bool = True


class DiesOfOptionalWork(Stage[Optional, Half]):
    """Every item with its optional work kills its worker."""

    name = "dies_of_optional_work"
    version = "1"

    def item_id(self, item: Optional) -> str:
        return f"{item.number:04d}"

    def identity(self, item: Optional) -> Mapping[str, Any]:
        return {"number": item.number}

    def plain(self, item: Optional) -> Optional:
        return replace(item, risky=False)

    def process(self, item: Optional, workdir: Path) -> Sequence[Half | Reject] | Reject:
        if item.risky:
            os.kill(os.getpid(), signal.SIGKILL)
        return [Half(number=item.number, half=item.number // 2)]


class Quick(Halve):
    """Items of no time, 37 is killed, 61 raises, 83 hangs; notes the worker of every call."""

    name = "quick"

    def deadline_s(self, item: int) -> float:
        return 2.0

    def process(self, item: int, workdir: Path) -> Sequence[Half | Reject] | Reject:
        assert self.calls
        (self.calls / f"{item}-{os.getpid()}-{time.monotonic_ns()}").touch()
        if item == 37:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 61:
            raise ZeroDivisionError("a bug")
        if item == 83:
            time.sleep(600)
        return [Half(number=item, half=item // 2)]


class Noted(Halve):
    """Notes item, worker and node of every call; one item may hang, another eat memory."""

    name = "noted"

    def __init__(self, calls: Path, slow_s: float = 0.0, hangs: int = -1, eats: int = -1) -> None:
        super().__init__(slow_s=slow_s)
        self.folder, self.hangs, self.eats = calls.absolute(), hangs, eats

    def deadline_s(self, item: int) -> float:
        return 2.0 if item == self.hangs else 60.0

    def process(self, item: int, workdir: Path) -> Sequence[Half | Reject] | Reject:
        import ray

        node = ray.get_runtime_context().get_node_id()
        (self.folder / f"{item}-{os.getpid()}-{node}-{time.monotonic_ns()}").touch()
        if item == self.hangs:
            time.sleep(600)
        eaten = []
        while item == self.eats:
            eaten.append(bytearray(b"x" * 50_000_000))
            time.sleep(0.02)
        return super().process(item, workdir)


class NeverReady(Halve):
    """A bug of ours in `setup`, or a process that dies there."""

    name = "never_ready"

    def __init__(self, dies: bool) -> None:
        super().__init__()
        self.dies = dies

    def setup(self) -> None:
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ZeroDivisionError("a bug in setup")
