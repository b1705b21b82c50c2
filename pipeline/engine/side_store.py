"""Files beside the entries of an item cache: which workspaces need them, what jobs have brought.

A folder or an fsspec URL, the same that LIPFORGE_CACHE names. Names are relative paths with `/`.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.atomic import write_bytes
from pipeline.engine.cache import DEFAULT_ROOT
from pipeline.engine.store_requests import reached
from pipeline.errors import StorageError
from pipeline.params.environment import environment
from pipeline.remote import answer, file_system, make_parents

_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
"""How the file systems of fsspec call the time of an object's last change."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of the store, as its listing gives it."""

    name: str
    """Relative to the store's root."""
    size_bytes: int
    changed_s: float | None
    """Seconds since 1970 by the store's clock; None where it does not say."""


class SideStore:
    """Named files below the root of an item cache."""

    def __init__(self, where: str) -> None:
        self.where = where if "://" in where else str(Path(where).absolute())
        self.is_local = "://" not in where
        try:
            self.fs, root = file_system(self.where)
        except (ImportError, ValueError) as error:
            raise StorageError(f"LIPFORGE_CACHE={self.where}: {answer(error)}") from error
        self.root = str(root).rstrip("/")

    def write(self, name: str, content: bytes) -> None:
        """Store a file; a reader finds the old content or the new one."""
        if self.is_local:
            write_bytes(Path(self.root) / name, content)
            return
        reached(self.where, lambda: self._pipe(name, content))

    def put(self, path: Path, name: str) -> None:
        """Store a copy of a local file."""
        reached(self.where, lambda: self._put(path, name))

    def get(self, name: str, path: Path) -> None:
        """Copy a stored file to a local path, whose folder is made.

        Raises:
            StorageError: it is not there, or the store cannot be reached.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        reached(self.where, lambda: self.fs.get_file(self.path(name), str(path)))

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None where there is none."""
        return reached(self.where, lambda: self._cat(name))

    def files(self, folder: str = "") -> list[StoredFile]:
        """Return every file below a folder of the store, by name; none where it is absent."""
        found = reached(self.where, lambda: self._find(folder))
        return [self._stored(path, info) for path, info in sorted(found.items())]

    def remove(self, folder: str) -> None:
        """Remove all files below a folder of the store."""
        reached(self.where, lambda: self._rm(folder))

    def remove_file(self, name: str) -> None:
        """Remove one file, if it is there."""
        reached(self.where, lambda: self._rm_file(name))

    def path(self, name: str) -> str:
        """Return the path of a file as the file system names it."""
        return f"{self.root}/{name}" if name else self.root

    def _pipe(self, name: str, content: bytes) -> None:
        make_parents(self.where, self.fs, self.path(name))
        self.fs.pipe_file(self.path(name), content)

    def _put(self, path: Path, name: str) -> None:
        make_parents(self.where, self.fs, self.path(name))
        self.fs.put_file(str(path), self.path(name))

    def _rm(self, folder: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm(self.path(folder), recursive=True)

    def _rm_file(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(self.path(name))

    def _cat(self, name: str) -> bytes | None:
        self.fs.invalidate_cache()
        try:
            content: bytes = self.fs.cat_file(self.path(name))
        except FileNotFoundError:
            return None
        return content

    def _find(self, folder: str) -> dict[str, Any]:
        self.fs.invalidate_cache()
        try:
            found: dict[str, Any] = self.fs.find(self.path(folder), detail=True)
        except FileNotFoundError:
            return {}
        return found

    def _stored(self, path: str, info: dict[str, Any]) -> StoredFile:
        name = path.removeprefix(self.root).lstrip("/")
        return StoredFile(name, int(info.get("size") or 0), _changed_s(info))


def side_store() -> SideStore:
    """Return the store beside the entries of this environment's cache."""
    return SideStore(environment().cache or DEFAULT_ROOT)


def _changed_s(info: dict[str, Any]) -> float | None:
    value = next((info[name] for name in _TIMES if info.get(name) is not None), None)
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None
