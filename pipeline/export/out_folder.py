"""The folder that an export appears in: free, outside of what it reads, and its own alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.digest import digest
from pipeline.errors import StorageError
from pipeline.export.errors import ExportError
from pipeline.scratch import own_folder


def free_folder(out: Path, shards: str) -> Path:
    """Return the absolute path of a folder that is not there yet, or is empty.

    A link is followed, so that what it names is written and the link stays.

    Args:
        shards: folder or URL of what is read; nothing may be written into it.

    Raises:
        ExportError: something is there, the link leads nowhere, or a list of paths could not name
            the folder.
        StorageError: it cannot be looked at.
    """
    try:
        return _free_folder(out, shards)
    except OSError as error:
        raise StorageError(f"{out}: cannot be looked at: {error.strerror}") from error


def _free_folder(out: Path, shards: str) -> Path:
    if out.is_symlink() and not out.exists():
        raise ExportError(f"{out}: a link to what is not there; make its folder, or remove it")
    path = out.resolve() if out.is_symlink() else out.absolute()
    if any(not one.isprintable() for one in str(path)):
        raise ExportError(f"{str(path)!r}: a list of files cannot name this; choose another name")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ExportError(f"{out}: is there and not empty; name another folder, or remove it")
    if path.resolve() == Path.cwd():
        raise ExportError(f"{out}: the folder you are in is replaced at the end; name one below it")
    if "://" not in shards and path.resolve().is_relative_to(Path(shards).resolve()):
        raise ExportError(f"{out}: lies inside of the shards, {shards}; name a folder beside them")
    return path


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Hold a folder's name against every other export on this machine.

    Raises:
        ExportError: another one writes there.
        StorageError: no room for the lock.
    """
    lock = FileLock(own_folder("locks") / f"export-{digest(str(out.resolve()))[:16]}")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ExportError(
            f"{out}: another export writes there; wait for it, or name another"
        ) from error
    try:
        yield
    finally:
        lock.release()
