"""Private folders for work in progress, removed when it ends, or when its process has been killed.

A folder's name says whose it is: machine, process and when that process began. Whoever starts next
on the machine removes those of dead processes at once. What another machine left on a shared file
system cannot be judged from here and stays for a day.
"""

import os
import shutil
import socket
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from pipeline.atomic import ABANDONED_S
from pipeline.digest import digest
from pipeline.errors import StorageError
from pipeline.params.environment import environment

FIX = "set LIPFORGE_SCRATCH to a folder on a local disk that you can write to"


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make an empty folder in `parent`, readable by its owner alone; gone when the block ends.

    Raises:
        StorageError: the disk is full or not writable.
    """
    path = parent / f"{machine()}-{os.getpid()}-{_began(os.getpid())}-{uuid.uuid4().hex[:12]}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except OSError as error:
        raise StorageError(f"{parent}: cannot store a result: {error}") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def local_scratch() -> Path:
    """Return the folder on this machine that holds this user's scratch folders.

    Raises:
        StorageError: see `own_folder`.
    """
    return own_folder("work")


def own_folder(purpose: str) -> Path:
    """Return a folder on this machine that only this user reads.

    It lies in $LIPFORGE_SCRATCH, else in the system's temporary folder.

    Raises:
        StorageError: it cannot be made, or something of another user's has its name.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    scratch = environment().scratch
    temporary = Path(tempfile.gettempdir())
    path = scratch / purpose if scratch else temporary / f"lipforge-{purpose}-{user}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = path.lstat() if scratch is None else path.stat()
    except OSError as error:
        raise StorageError(f"{path}: cannot be made: {error.strerror}; {FIX}") from error
    if facts.st_uid != user or not stat.S_ISDIR(facts.st_mode):
        raise StorageError(f"{path}: belongs to another user; {FIX}")
    return path


def sweep(parent: Path) -> None:
    """Remove the folders of processes of this machine that are dead, and others after a day."""
    for path in parent.glob("*"):
        with suppress(OSError):  # another process was faster
            if _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)


@cache
def machine() -> str:
    """Return a name for where process numbers mean the same: host, boot, and the container."""
    boot, room = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        room = str(Path("/proc/self/ns/pid").readlink())
    return digest([socket.gethostname(), boot, room])[:12]


def _is_abandoned(path: Path) -> bool:
    words = path.name.split("-")
    if len(words) == 4 and words[0] == machine():
        return not words[1].isdecimal() or _began(int(words[1])) != words[2]
    return time.time() - path.stat().st_mtime > ABANDONED_S


def _began(pid: int) -> str:
    """Return when a process began, in ticks since boot; empty: there is no such process.

    Where the system does not say, 0 stands for every one that is alive. A number may be given to
    another process once its owner is dead: then this is another time.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return "0" if not Path("/proc/self").exists() and _answers(pid) else ""
    state, *rest = after_name.split()
    return "" if state in "ZX" else rest[18]


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
