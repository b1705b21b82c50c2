"""The item cache, outside of DVC's outs: `<root>/<key[:2]>/<key>/` with files and `meta.json`.

DVC empties a stage's outs before each run, so what must survive a crash lies here. An entry is
there as a whole or not at all: locally a folder is renamed into place, on an object store
`meta.json` is uploaded last. `meta.json` holds size and SHA-256 of every file: `artifact_path`
compares before the file is used. A lost or damaged cache costs time, never correctness: so an entry
is not waited for until it is on the disk, and the last ones before a power cut are made again.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from pipeline.engine.entry import META, check, parsed, say_damaged, stage_named, write_meta
from pipeline.engine.remote_cache import RemoteCache
from pipeline.errors import StorageError
from pipeline.params.environment import environment
from pipeline.scratch import local_scratch, scratch_folder, sweep

LOOKUP_THREADS = 16
"""Look-ups at once on a disk or a shared folder."""
LOOKED_UP = 64
"""Items that one thread looks up in one go."""
DEFAULT_ROOT = ".cache/items"


class Cache(Protocol):
    """Where finished items lie."""

    def workdir(self) -> Any:
        """Context manager: an empty private folder for one item's files, removed at the end."""
        ...

    def lookup(self, key: str) -> Mapping[str, Any] | None:
        """Return the stored outcome, or None when the entry is absent or incomplete."""
        ...

    def lookup_many(self, stage: str, keys: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the stored outcomes of those of a stage's items that are there and complete."""
        ...

    def remember(self, stage: str, keys: Iterable[str]) -> None:
        """Make the next look-up of many new items of a stage cheap, if that takes anything."""
        ...

    def stage_of(self, key: str) -> str:
        """Return whose item an entry is, though its files may be damaged; empty if unknown."""
        ...

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """Store outcome and files at once."""
        ...

    def holding(self) -> AbstractContextManager[None]:
        """Keep fetched files that are used inside the block on this machine until its end.

        Outside of any block only the files of the last 128 entries that a process has used are
        kept for certain; older ones give way when the local copies reach their bound.
        """
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
        """Remove what killed processes left behind, as far as this machine can tell."""
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
        with scratch_folder(self.root / "tmp") as path:
            yield path

    def lookup(self, key: str) -> Mapping[str, Any] | None:
        """See Cache.lookup."""
        folder = self._folder(key)
        try:
            stored = parsed((folder / META).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            say_damaged(folder / META)
            return None
        for name, facts in (stored or {"files": {}})["files"].items():
            if not _has_size(folder / name, facts):
                say_damaged(folder / name)
                return None
        return stored

    def lookup_many(self, stage: str, keys: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        """See Cache.lookup_many."""
        wanted = list(dict.fromkeys(keys))
        blocks = [wanted[at : at + LOOKED_UP] for at in range(0, len(wanted), LOOKED_UP)]
        with ThreadPoolExecutor(LOOKUP_THREADS) as threads:
            stored = [one for block in threads.map(self._block, blocks) for one in block]
        return {key: one for key, one in zip(wanted, stored, strict=True) if one is not None}

    def _block(self, keys: Sequence[str]) -> list[Mapping[str, Any] | None]:
        return [self.lookup(key) for key in keys]

    def remember(self, stage: str, keys: Iterable[str]) -> None:
        """Nothing to do: a folder is looked up quickly."""

    def holding(self) -> AbstractContextManager[None]:
        """See Cache.holding: nothing is ever taken away here."""
        return nullcontext()

    def stage_of(self, key: str) -> str:
        """See Cache.stage_of."""
        try:
            return stage_named(parsed((self._folder(key) / META).read_bytes()))
        except (OSError, ValueError):
            return ""

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """See Cache.commit. An incomplete entry in the way is replaced.

        Raises:
            StorageError: the disk is full or not writable.
        """
        final = self._folder(key)
        try:
            write_meta(stored, workdir)
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
        check(self._folder(key), key, name)
        return self.place(key, name)

    def forget(self, key: str) -> None:
        """See Cache.forget."""
        shutil.rmtree(self._folder(key), ignore_errors=True)

    def sweep(self) -> None:
        """See Cache.sweep."""
        sweep(self.root / "tmp")
        sweep(local_scratch())

    def keys(self) -> Iterator[str]:
        """See Cache.keys."""
        yield from sorted(path.parent.name for path in self.root.glob(f"??/*/{META}"))

    def _folder(self, key: str) -> Path:
        return self.root / key[:2] / key


def open_cache(root: str | None = None) -> Cache:
    """Open the cache at `root`, else at $LIPFORGE_CACHE, else at .cache/items."""
    where = root or environment().cache or DEFAULT_ROOT
    return RemoteCache(where) if "://" in where else LocalCache(Path(where))


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
