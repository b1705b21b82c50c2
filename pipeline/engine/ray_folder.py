"""Where Ray keeps its sockets and logs on this machine, so that it starts wherever it can.

Ray's own choice is `$TMPDIR/ray`. It fails with a traceback where the name is too long for a Unix
socket, the folder is not writable or its disk is full.
"""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from pipeline.errors import ClusterError

LONGEST_SOCKET = 103
"""Bytes that every system allows for the name of a Unix socket (Linux 107)."""
INSIDE = len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store.1")
"""Bytes of a socket's name in that folder."""
NEEDED_BYTES = 64 * 2**20
"""Room for logs; less than that and Ray hangs for a minute before it fails."""
SHARED_MEMORY = Path("/dev/shm")


def ray_folder(store_bytes: int, candidates: list[Path] | None = None) -> Path:
    """Return a folder that Ray can use: `$RAY_TMPDIR`, `$TMPDIR/ray`, else one in /tmp or /var/tmp.

    Args:
        store_bytes: size of Ray's object store, which is a file there if /dev/shm is smaller.

    Raises:
        ClusterError: none will do; says why, and what to set.
    """
    needed = NEEDED_BYTES + (0 if free_bytes(SHARED_MEMORY) >= store_bytes else store_bytes)
    faults = []
    for folder in candidates or _candidates():
        fault = _fault(folder, needed)
        if not fault:
            return folder
        faults.append(f"{folder} {fault}")
    most = LONGEST_SOCKET - INSIDE
    raise ClusterError(
        f"Ray needs a folder for its sockets and logs: {'; '.join(faults)}; set RAY_TMPDIR to a "
        f"writable folder of at most {most} characters with {needed // 2**20} MiB free"
    )


def free_bytes(folder: Path) -> int:
    """Return the room on a folder's disk; 0 if there is no such folder."""
    with suppress(OSError):
        facts = os.statvfs(folder)
        return facts.f_bavail * facts.f_frsize
    return 0


def _candidates() -> list[Path]:
    named = [Path(os.environ["RAY_TMPDIR"])] if os.environ.get("RAY_TMPDIR") else []
    tmp = Path(os.environ.get("TMPDIR") or "/tmp")
    mine = f"ray-{os.getuid()}"
    places = [Path("/tmp"), Path("/var/tmp")]
    return list(dict.fromkeys([*named, tmp / "ray", *(place / mine for place in places)]))


def _fault(folder: Path, needed: int) -> str:
    """Return what is wrong with a folder, in words; empty: nothing."""
    excess = len(os.fsencode(folder.absolute())) + INSIDE - LONGEST_SOCKET
    if excess > 0:
        return f"is {excess} characters too long for a Unix socket"
    probe = folder / f"probe-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    free = free_bytes(folder)
    return "" if free >= needed else f"has {free // 2**20} MiB free"
