"""The item cache on an object store, behind an fsspec URL such as s3://bucket/lipforge."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from pipeline.digest import digest
from pipeline.engine import bulk_lookup
from pipeline.engine.bulk_lookup import BulkLookup
from pipeline.engine.entry import META, check, parsed, stage_named, write_meta
from pipeline.engine.held_copies import HeldCopies
from pipeline.engine.store_requests import ATTEMPTS, reached
from pipeline.errors import DISK_ERRORS, DamagedCacheError, StorageError, UnreadableError
from pipeline.faults import Caught
from pipeline.local_copies import LocalCopies, open_copies
from pipeline.remote import answer, object_store, until_answered
from pipeline.scratch import local_scratch, scratch_folder, sweep

Answer = TypeVar("Answer")

UPLOADS = 8
"""Files of one item in flight."""


class RemoteCache:
    """Entries as objects; `meta.json`, uploaded last, makes one. Files are fetched when used."""

    def __init__(self, url: str, copies: LocalCopies | None = None) -> None:
        """Args: the local copies; None: those of the machine it is used on."""
        self.url = url.rstrip("/")
        self._given = copies

    def __reduce__(self) -> tuple[type["RemoteCache"], tuple[str, LocalCopies | None]]:
        """Another process opens a connection of its own, and holds nothing of this one."""
        return RemoteCache, (self.url, self._given)

    @cached_property
    def copies(self) -> HeldCopies:
        """The files that were fetched to this machine."""
        return HeldCopies(self._given or open_copies(), digest(self.url)[:12])

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            return object_store(self.url)
        except (ImportError, ValueError) as error:
            raise StorageError(f"LIPFORGE_CACHE={self.url}: {answer(error)}") from error

    @property
    def fs(self) -> Any:
        """The fsspec file system."""
        return self._opened[0]

    @property
    def root(self) -> str:
        """The path of the cache on it."""
        return self._opened[1]

    @contextmanager
    def workdir(self) -> Iterator[Path]:
        """Make a local folder whose files `commit` uploads."""
        with scratch_folder(local_scratch()) as folder:
            yield folder

    def holding(self) -> AbstractContextManager[None]:
        """See Cache.holding."""
        return self.copies.holding()

    def lookup(self, key: str) -> Mapping[str, Any] | None:
        """See Cache.lookup."""
        return self.lookup_many("", [key]).get(key)

    def lookup_many(self, stage: str, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """See Cache.lookup_many."""
        return self._reached(lambda: self._bulk.find(keys, stage), 1)

    def remember(self, stage: str, keys: Iterable[str]) -> None:
        """See Cache.remember."""
        new = set(keys)
        if len(new) >= bulk_lookup.PACKED_FROM:
            self.lookup_many(stage, new)

    def stage_of(self, key: str) -> str:
        """See Cache.stage_of."""
        for meta in self._reached(lambda: self._bulk.metas([key]), 1).values():
            with suppress(ValueError):
                return stage_named(parsed(meta.encode()))
        return ""

    def commit(self, key: str, stored: Mapping[str, Any], workdir: Path) -> None:
        """See Cache.commit: files first, several at once; meta.json last.

        Raises:
            StorageError: a file could not be uploaded, in six attempts.
        """
        try:
            write_meta(stored, workdir)
        except OSError as error:
            raise StorageError(f"{workdir}: cannot store a result: {error}") from error
        files = [path for path in sorted(workdir.iterdir()) if path.name != META]
        if len(files) > 1:
            with ThreadPoolExecutor(min(UPLOADS, len(files))) as threads:
                list(threads.map(lambda path: self._upload(key, path), files))
        else:
            for path in files:
                self._upload(key, path)
        self._upload(key, workdir / META)

    def place(self, key: str, name: str) -> Path:
        """See Cache.place."""
        return self.copies.place(key, name)

    def artifact_path(self, key: str, name: str) -> Path:
        """See Cache.artifact_path. Fetched once per machine, again where the copy is damaged."""
        self._use(key, name)
        local = self.place(key, name)
        try:
            check(local.parent, key, name)
        except DamagedCacheError:
            for one in (META, name):
                self.copies.discard(key, one)
            self._use(key, name)
            check(local.parent, key, name)
        return local

    def forget(self, key: str) -> None:
        """See Cache.forget; meta.json goes first, so that no half entry looks complete."""
        self.copies.drop(key)
        listed = self._reached(lambda: self._bulk.listed([key]), 1).get(key, {})
        for name in sorted(listed, key=_meta_first):
            self._remove(self._bulk.path(key, name))

    def sweep(self) -> None:
        """See Cache.sweep: of this machine; every worker does so when it starts."""
        sweep(local_scratch())

    def keys(self) -> Iterator[str]:
        """See Cache.keys."""
        found = self._reached(lambda: self.fs.glob(f"{self.root}/??/*/{META}"))
        yield from sorted(str(path).rsplit("/", 2)[-2] for path in found)

    @cached_property
    def _bulk(self) -> BulkLookup:
        return BulkLookup(self.fs, self.root, ATTEMPTS)

    def _upload(self, key: str, path: Path) -> None:
        self._reached(lambda: self.fs.put_file(str(path), self._bulk.path(key, path.name)))

    def _remove(self, path: str) -> None:
        def once() -> None:
            with suppress(FileNotFoundError):
                self.fs.rm_file(path)

        self._reached(once)

    def _use(self, key: str, name: str) -> None:
        for one in (META, name):
            try:
                self.copies.use(key, one, partial(self._download, key, one))
            except OSError as error:
                folder = self.place(key, one).parent
                raise StorageError(f"{folder}: cannot be written: {error}") from error

    def _download(self, key: str, name: str, part: Path) -> None:
        path = self._bulk.path(key, name)
        with Caught() as caught:
            until_answered(lambda: self.fs.get_file(path, str(part)), ATTEMPTS)
        error = caught.error
        if error is None:
            return
        if isinstance(error, FileNotFoundError):
            raise DamagedCacheError(key, name, "gone") from error
        if getattr(error, "errno", None) in DISK_ERRORS:
            raise error
        raise UnreadableError(f"{self.url}: cannot be fetched: {answer(error)}") from error

    def _reached(self, call: Callable[[], Answer], attempts: int = ATTEMPTS) -> Answer:
        """See `store_requests.reached`."""
        return reached(self.url, call, attempts)


def _meta_first(name: str) -> bool:
    """Sort key."""
    return name != META
