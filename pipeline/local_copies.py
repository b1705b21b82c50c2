"""Local copies of remote files: one folder per machine, shared by its workers, bounded in size.

A copy's name says which bytes it holds (a digest, or an address with its ETag), so a copy is never
out of date. Beside each lie two files to lock: whoever needs the copy holds the first one shared,
and what is held is never evicted; one process at a time fetches under the second one, so several
workers of a machine download once. The system frees the locks of a process that was killed. The
time of the first one says when the copy was last used: the longest unused ones go first.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import DISK_ERRORS, StorageError
from pipeline.params.environment import environment
from pipeline.scratch import FIX, own_folder

DEFAULT_LIMIT_GB = 20
"""Without LIPFORGE_SCRATCH_GB; but at most half of the disk."""
LOOKS_PER_LIMIT = 100
"""A process counts what lies in the folder when it has fetched this part of the limit."""
FILLED = 0.9
"""Share of the limit down to which copies are evicted."""
LOCK, PART, FETCHING = ".lock", ".part", ".fetching"


@dataclass
class LocalCopies:
    """The copies in one folder. Picklable; any number of threads and processes may use one folder.

    More than the limit lies there only while so much is in use at the same time, and a hundredth of
    it per process beyond the tenth.
    """

    root: Path
    limit_bytes: int
    _uncounted: float = field(default=float("inf"), repr=False)
    """Bytes that this process has fetched since it looked; at first it knows of nothing."""

    @contextmanager
    def held(self, name: str, fetch: Callable[[Path], None], size_bytes: int = 0) -> Iterator[Path]:
        """Give a local copy, fetched if it is not there; it stays while the block runs.

        Args:
            name: of the content: `<folder>/<file>`, any number of folders.
            fetch: writes the file to the path that it is given; what it raises passes through.
                Where the disk is full, all that is not in use goes and it is called once more.
            size_bytes: what is known of the size, to make room before.

        Raises:
            StorageError: the folder is not writable, or its disk has no locks.
        """
        path = self.path(name)
        lock = self._shared(path, fetch, size_bytes)
        try:
            yield path
        finally:
            os.close(lock)

    def discard(self, name: str) -> None:
        """Remove a copy whose bytes turned out to be damaged, whoever uses it."""
        with suppress(FileNotFoundError):
            self.path(name).unlink()

    def path(self, name: str) -> Path:
        """Return where a copy lies if it is there."""
        return self.root / name

    def evict(self, bytes_left: float) -> None:
        """Remove copies that nobody uses, the longest unused first, down to so many bytes."""
        found = self._entries()
        surplus = sum(size for _, size, _ in found) - bytes_left
        for _, size, path in sorted(found):
            if surplus <= 0:
                break
            surplus -= size if _evict(path) else 0

    def _shared(self, path: Path, fetch: Callable[[Path], None], size_bytes: int) -> int:
        """Return the descriptor of the lock, held shared, of a copy that is there."""
        lock = _locked(path, LOCK, fcntl.LOCK_SH)
        try:
            if not path.exists():
                self._fetched_once(path, fetch, size_bytes)
            os.utime(lock)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _fetched_once(self, path: Path, fetch: Callable[[Path], None], size_bytes: int) -> None:
        lock = _locked(path, FETCHING, fcntl.LOCK_EX)
        try:
            if not path.exists():
                self._make_room(size_bytes)
                self._fetch(path, fetch)
        finally:
            os.close(lock)

    def _fetch(self, path: Path, fetch: Callable[[Path], None]) -> None:
        part = path.with_name(path.name + PART)
        try:
            try:
                fetch(part)
            except (OSError, StorageError) as error:
                if isinstance(error, OSError) and error.errno not in DISK_ERRORS:
                    raise
                self.evict(0)
                fetch(part)
            self._uncounted += part.stat().st_size
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, size_bytes: int) -> None:
        if (self._uncounted + size_bytes) * LOOKS_PER_LIMIT < self.limit_bytes:
            return
        self._uncounted = 0
        self.evict(FILLED * self.limit_bytes - size_bytes)

    def _entries(self) -> list[tuple[int, int, Path]]:
        """Return (last use, bytes, path) of every copy; what killed fetches left is removed."""
        found = []
        for lock in self.root.rglob(f"*{LOCK}"):
            path = lock.with_suffix("")
            with suppress(FileNotFoundError):
                path.with_name(path.name + PART).stat()
                _evict(path, only_part=True)
            with suppress(FileNotFoundError):
                found.append((lock.stat().st_mtime_ns, path.stat().st_size, path))
        return found


def open_copies() -> LocalCopies:
    """Return the copies of this machine: in $LIPFORGE_SCRATCH, $LIPFORGE_SCRATCH_GB large at most.

    Raises:
        StorageError: the folder cannot be made, or is another user's.
    """
    limit_gb, root = environment().scratch_gb, own_folder("copies")
    disk = os.statvfs(root)
    default = min(DEFAULT_LIMIT_GB * 10**9, disk.f_blocks * disk.f_frsize // 2)
    return LocalCopies(root, limit_gb * 10**9 if limit_gb else default)


def _locked(path: Path, ending: str, kind: int) -> int:
    """Return the descriptor of a lock file of a copy, which is there and held.

    Raises:
        BlockingIOError: another holds it, and `kind` has LOCK_NB.
        StorageError: the folder is not writable, or its disk has no locks.
    """
    name = path.with_name(path.name + ending)
    while True:
        if (lock := _opened(name)) is None:
            continue
        try:
            fcntl.flock(lock, kind)
            if os.path.samestat(os.fstat(lock), name.stat()):
                return lock
        except FileNotFoundError:
            pass  # evicted between opening and locking: the lock is of no file
        except BlockingIOError:
            os.close(lock)
            raise
        except OSError as error:
            os.close(lock)
            raise StorageError(f"{name.parent}: no locks there: {error.strerror}; {FIX}") from error
        os.close(lock)


def _opened(lock: Path) -> int | None:
    """Return the descriptor of a lock file, or None where its folder has just been evicted."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{lock.parent}: cannot be used: {error.strerror}; {FIX}") from error


def _evict(path: Path, only_part: bool = False) -> bool:
    """Remove a copy with its locks unless it is in use; return whether it is gone."""
    try:
        lock = _locked(path, LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    names = [PART] if only_part and path.exists() else ["", PART, FETCHING, LOCK]
    for ending in names:
        path.with_name(path.name + ending).unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()
    os.close(lock)
    return True
