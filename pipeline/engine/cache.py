"""The item cache, outside of DVC's outs: `<root>/<key[:2]>/<key>/` with files and `meta.json`.

DVC empties a stage's outs before each run, so what must survive a crash lies here. An entry is
there as a whole or not at all: locally a folder is renamed into place, on an object store
`meta.json` is uploaded last. A lost cache costs time, never correctness.
"""

import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import fsspec

from pipeline.atomic import ABANDONED_S, whole_file
from pipeline.digest import canonical_json, digest
from pipeline.errors import StorageError
from pipeline.params.environment import environment

META = "meta.json"
DEFAULT_ROOT = ".cache/items"


class Cache(Protocol):
    """Where finished items lie."""

    def workdir(self) -> Any:
        """Context manager: an empty private folder for one item's files, removed at the end."""
        ...

    def lookup(self, key: str) -> Mapping[str, Any] | None:
        """Return the stored outcome, or None when the entry is absent or incomplete."""
        ...

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """Store outcome and files at once."""
        ...

    def place(self, key: str, name: str) -> Path:
        """Return where one file of an entry lies on a machine that has it; fetches nothing."""
        ...

    def artifact_path(self, key: str, name: str) -> Path:
        """Return the same path, after the file was fetched if it has to be."""
        ...

    def forget(self, key: str) -> None:
        """Remove one entry."""
        ...

    def sweep(self) -> None:
        """Remove what killed workers left behind."""
        ...

    def keys(self) -> Iterator[str]:
        """Yield the key of every complete entry."""
        ...


class LocalCache:
    """A folder, on this machine or on a file system that all workers share."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @contextmanager
    def workdir(self) -> Iterator[Path]:
        """Make a folder beside the entries, so that the commit is a rename.

        Raises:
            StorageError: the disk is full or not writable.
        """
        path = self.root / "tmp" / uuid.uuid4().hex
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise StorageError(f"{self.root}: cannot store a result: {error}") from error
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def lookup(self, key: str) -> Mapping[str, Any] | None:
        """See Cache.lookup."""
        folder = self._folder(key)
        try:
            stored: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        complete = all(_has_size(folder / n, size) for n, size in stored["files"].items())
        return stored if complete else None

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """See Cache.commit. An incomplete entry in the way is replaced.

        Raises:
            StorageError: the disk is full or not writable.
        """
        final = self._folder(key)
        try:
            _write_meta(stored, workdir)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists() and self.lookup(key) is None:
                shutil.rmtree(final)
            if not final.exists():
                _rename_unless_there(workdir, final)
        except OSError as error:
            raise StorageError(f"{self.root}: cannot store a result: {error}") from error

    def place(self, key: str, name: str) -> Path:
        """See Cache.place."""
        return self._folder(key) / name

    artifact_path = place

    def forget(self, key: str) -> None:
        """See Cache.forget."""
        shutil.rmtree(self._folder(key), ignore_errors=True)

    def sweep(self) -> None:
        """Remove the private folders of workers that were killed more than a day ago."""
        for path in (self.root / "tmp").glob("*"):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(path, ignore_errors=True)

    def keys(self) -> Iterator[str]:
        """See Cache.keys."""
        yield from sorted(path.parent.name for path in self.root.glob(f"??/*/{META}"))

    def _folder(self, key: str) -> Path:
        return self.root / key[:2] / key


class RemoteCache:
    """An fsspec URL such as s3://bucket/lipforge; files are fetched to a local folder when read."""

    def __init__(self, url: str, scratch: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self.scratch = scratch or Path(tempfile.gettempdir()) / "lipforge-fetched"
        self.fs, self.root = fsspec.core.url_to_fs(self.url)

    @contextmanager
    def workdir(self) -> Iterator[Path]:
        """Make a local folder whose files `commit` uploads."""
        with tempfile.TemporaryDirectory(prefix="lipforge-") as folder:
            yield Path(folder)

    def lookup(self, key: str) -> Mapping[str, Any] | None:
        """See Cache.lookup; the presence of meta.json means complete."""
        try:
            stored: dict[str, Any] = json.loads(self.fs.cat_file(self._remote(key, META)))
        except FileNotFoundError:
            return None
        return stored

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """See Cache.commit: data first, meta.json last."""
        try:
            _write_meta(stored, workdir)
            self.fs.makedirs(self._remote(key), exist_ok=True)
            for path in sorted(workdir.iterdir(), key=lambda path: path.name == META):
                self.fs.put_file(str(path), self._remote(key, path.name))
        except OSError as error:
            raise StorageError(f"{self.url}: cannot store a result: {error}") from error

    def place(self, key: str, name: str) -> Path:
        """See Cache.place."""
        return self.scratch / digest(self.url)[:12] / key / name

    def artifact_path(self, key: str, name: str) -> Path:
        """Fetch the file once per machine."""
        local = self.place(key, name)
        if not local.exists():
            with whole_file(local) as part:
                self.fs.get_file(self._remote(key, name), str(part))
        return local

    def forget(self, key: str) -> None:
        """See Cache.forget; meta.json goes first, so that no half entry looks complete."""
        folder = self._remote(key)
        if self.fs.exists(folder):
            self.fs.rm_file(self._remote(key, META))
            self.fs.rm(folder, recursive=True)

    def sweep(self) -> None:
        """Nothing to do: work folders are temporary folders of their machines."""

    def keys(self) -> Iterator[str]:
        """See Cache.keys."""
        found = self.fs.glob(f"{self.root}/??/*/{META}")
        yield from sorted(str(path).rsplit("/", 2)[-2] for path in found)

    def _remote(self, key: str, *names: str) -> str:
        return "/".join((self.root, key[:2], key, *names))


def open_cache(root: str | None = None) -> Cache:
    """Open the cache at `root`, else at $LIPFORGE_CACHE, else at .cache/items."""
    where = root or environment().cache or DEFAULT_ROOT
    return RemoteCache(where) if "://" in where else LocalCache(Path(where))


def collect_garbage(cache: Cache, reachable: Iterable[str]) -> list[str]:
    """Remove every entry that no table names; return the removed keys.

    Entries of `ingest` stay: its table has no keys, since they hold this machine's file times.
    """
    wanted = set(reachable)
    removed = [key for key in cache.keys() if key not in wanted]  # noqa: SIM118 - not a dict
    removed = [key for key in removed if (cache.lookup(key) or {}).get("stage") != "ingest"]
    for key in removed:
        cache.forget(key)
    cache.sweep()
    return removed


def _write_meta(stored: Mapping[str, Any], workdir: Path) -> None:
    files = {path.name: path.stat().st_size for path in sorted(workdir.iterdir())}
    text = canonical_json({**stored, "files": files})
    with (workdir / META).open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _rename_unless_there(workdir: Path, final: Path) -> None:
    try:
        workdir.rename(final)
    except OSError:
        if not (final / META).exists():  # else another worker was faster with the same bytes
            raise


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False
