"""The item cache, outside of DVC's outs: `<root>/<key[:2]>/<key>/` with files and `meta.json`.

DVC empties a stage's outs before each run, so what must survive a crash lies here. An entry is
there as a whole or not at all: locally a folder is renamed into place, on an object store
`meta.json` is uploaded last. `meta.json` holds size and SHA-256 of every file: `artifact_path`
compares before the file is used. A lost or damaged cache costs time, never correctness: so an entry
is not waited for until it is on the disk, and the last ones before a power cut are made again.
"""

import json
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import fsspec

from pipeline.atomic import ABANDONED_S, whole_file
from pipeline.digest import canonical_json, digest, file_sha256
from pipeline.errors import DamagedCacheError, StorageError
from pipeline.faults import Caught, words
from pipeline.params.environment import environment

META = "meta.json"
SEAL = "sha256"
"""Field of meta.json: the digest of all the others."""
DEFAULT_ROOT = ".cache/items"


class Cache(Protocol):
    """Where finished items lie."""

    def workdir(self) -> Any:
        """Context manager: an empty private folder for one item's files, removed at the end."""
        ...

    def lookup(self, key: str) -> Mapping[str, Any] | None:
        """Return the stored outcome, or None when the entry is absent or incomplete."""
        ...

    def stage_of(self, key: str) -> str:
        """Return whose item an entry is, though its files may be damaged; empty if unknown."""
        ...

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """Store outcome and files at once."""
        ...

    def place(self, key: str, name: str) -> Path:
        """Return where one file of an entry lies on a machine that has it; fetches nothing."""
        ...

    def artifact_path(self, key: str, name: str) -> Path:
        """Return the same path, after the file was fetched if it has to be, and checked.

        Raises:
            DamagedCacheError: the entry or the file is gone, or the bytes are not those stored.
        """
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
            stored = _parsed((folder / META).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            _say_damaged(folder / META)
            return None
        for name, facts in (stored or {"files": {}})["files"].items():
            if not _has_size(folder / name, facts):
                _say_damaged(folder / name)
                return None
        return stored

    def stage_of(self, key: str) -> str:
        """See Cache.stage_of."""
        try:
            return _stage_named(_parsed((self._folder(key) / META).read_bytes()))
        except (OSError, ValueError):
            return ""

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

    def artifact_path(self, key: str, name: str) -> Path:
        """See Cache.artifact_path."""
        _check(self._folder(key), key, name)
        return self.place(key, name)

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
            with _reaching(self.url):
                content = self.fs.cat_file(self._remote(key, META))
            return _parsed(content)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        except ValueError:
            _say_damaged(self._remote(key, META))
            return None

    def stage_of(self, key: str) -> str:
        """See Cache.stage_of."""
        return _stage_named(self.lookup(key))

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """See Cache.commit: data first, meta.json last."""
        with _reaching(self.url):
            _write_meta(stored, workdir)
            self.fs.makedirs(self._remote(key), exist_ok=True)
            for path in sorted(workdir.iterdir(), key=lambda path: path.name == META):
                self.fs.put_file(str(path), self._remote(key, path.name))

    def place(self, key: str, name: str) -> Path:
        """See Cache.place."""
        return self.scratch / digest(self.url)[:12] / key / name

    def artifact_path(self, key: str, name: str) -> Path:
        """See Cache.artifact_path. Fetched once per machine, again where the copy is damaged."""
        local = self.place(key, name)
        for path in (local.with_name(META), local):
            if not path.exists():
                self._fetch(key, path)
        try:
            _check(local.parent, key, name)
        except DamagedCacheError:
            for path in (local.with_name(META), local):
                self._fetch(key, path)
            _check(local.parent, key, name)
        return local

    def _fetch(self, key: str, local: Path) -> None:
        try:
            with whole_file(local) as part:
                self.fs.get_file(self._remote(key, local.name), str(part))
        except FileNotFoundError as error:
            raise DamagedCacheError(key, local.name, "gone") from error

    def forget(self, key: str) -> None:
        """See Cache.forget; meta.json goes first, so that no half entry looks complete."""
        shutil.rmtree(self.place(key, META).parent, ignore_errors=True)
        folder = self._remote(key)
        if self.fs.exists(self._remote(key, META)):
            self.fs.rm_file(self._remote(key, META))
        if self.fs.exists(folder):
            self.fs.rm(folder, recursive=True)

    def sweep(self) -> None:
        """Nothing to do: work folders are temporary folders of their machines."""

    def keys(self) -> Iterator[str]:
        """See Cache.keys."""
        found = self.fs.glob(f"{self.root}/??/*/{META}")
        yield from sorted(str(path).rsplit("/", 2)[-2] for path in found)

    def _remote(self, key: str, *names: str) -> str:
        return "/".join((self.root, key[:2], key, *names))


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Turn what a store's client raises into a StorageError."""
    with Caught() as caught:
        yield
    if caught.error is not None:
        said = words(caught.error)
        raise StorageError(f"{url}: the item cache cannot be reached: {said}") from caught.error


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
    removed = [key for key in removed if cache.stage_of(key) != "ingest"]
    for key in removed:
        cache.forget(key)
    cache.sweep()
    return removed


def _write_meta(stored: Mapping[str, Any], workdir: Path) -> None:
    files = {path.name: _facts(path) for path in sorted(workdir.iterdir())}
    content = {**stored, "files": files}
    text = canonical_json({**content, SEAL: digest(content)})
    (workdir / META).write_text(text, encoding="utf-8")


def _parsed(meta: bytes) -> dict[str, Any] | None:
    """Return the content of a meta.json; None for one of an old version, which had no digests.

    Raises:
        ValueError: it is not what was written.
    """
    content = json.loads(meta)
    if isinstance(content, dict) and SEAL not in content:
        return None
    if not isinstance(content, dict) or content.pop(SEAL) != digest(content):
        raise ValueError("meta.json does not have its own digest")
    return content


def _stage_named(stored: Mapping[str, Any] | None) -> str:
    return str((stored or {}).get("stage", ""))


def _say_damaged(what: object) -> None:
    sys.stderr.write(f"warning: {what}: damaged in the item cache; its item is made again\n")


def _facts(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _rename_unless_there(workdir: Path, final: Path) -> None:
    try:
        workdir.rename(final)
    except OSError:
        if not (final / META).exists():  # else another worker was faster with the same bytes
            raise


def _has_size(path: Path, facts: Any) -> bool:
    try:
        return bool(path.stat().st_size == facts["bytes"])
    except FileNotFoundError:
        return False


def _check(folder: Path, key: str, name: str) -> None:
    try:
        changed_ns = (folder / META).stat().st_mtime_ns
        stored = _files_of(folder, changed_ns)[name]["sha256"]
        facts = (folder / name).stat()
        found = _sha256(folder / name, facts.st_mtime_ns, facts.st_size, facts.st_ino)
    except FileNotFoundError as error:
        raise DamagedCacheError(key, name, "gone") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedCacheError(key, name, "its entry cannot be read") from error
    if found != stored:
        raise DamagedCacheError(key, name, "not the bytes that were stored")


@lru_cache(maxsize=65536)
def _sha256(path: Path, changed_ns: int, size: int, inode: int) -> str:
    """Return a file's digest, computed once per process as long as the file stays untouched."""
    return file_sha256(path)


@lru_cache(maxsize=64)
def _files_of(folder: Path, changed_ns: int) -> dict[str, Any]:
    """Return the facts of an entry's files; the time is there to read a new meta.json anew."""
    stored = _parsed((folder / META).read_bytes()) or {}
    files: dict[str, Any] = stored["files"]
    return files
