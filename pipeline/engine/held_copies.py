"""Local copies of the files of a remote item cache: which of them this process keeps in use."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.local_copies import FETCHING, LOCK, PART, LocalCopies

HELD_OUTSIDE = 128
"""Entries that a process holds outside of a `holding` block: those it has used last."""


@dataclass
class HeldCopies:
    """The copies of one cache, in a folder of their own among those of the machine."""

    copies: LocalCopies
    folder: str
    _held: dict[str, ExitStack] = field(default_factory=dict)
    _files: set[tuple[str, str]] = field(default_factory=set)
    _blocks: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def place(self, key: str, name: str) -> Path:
        """Return where a file lies when it is here."""
        return self.copies.path(self._name(key, name))

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keep what is used inside the block until its end."""
        with self._lock:
            before = set(self._held)
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                for key in set(self._held) - before:
                    self._release(key)

    def use(self, key: str, name: str, fetch: Callable[[Path], None]) -> None:
        """Have the file at its place and keep it there while its entry is held.

        Args:
            fetch: writes the file to the path that it is given; what it raises passes through.

        Raises:
            StorageError: the folder is not writable.
        """
        copy = ExitStack()
        copy.enter_context(self.copies.held(self._name(key, name), fetch))
        with self._lock:
            held = self._held.pop(key, None) or ExitStack()
            self._held[key] = held
            if (key, name) in self._files:
                copy.close()
            else:
                held.push(copy)
                self._files.add((key, name))
            while not self._blocks and len(self._held) > HELD_OUTSIDE:
                self._release(next(iter(self._held)))

    def discard(self, key: str, name: str) -> None:
        """Remove a copy that turned out to be damaged; who has it open keeps its bytes."""
        self.copies.discard(self._name(key, name))

    def drop(self, key: str) -> None:
        """Remove the copies of one entry; who has a file open keeps its bytes."""
        with self._lock:
            self._release(key)
        for path in self.place(key, "").glob("*"):
            if path.suffix not in (LOCK, FETCHING, PART):
                self.discard(key, path.name)

    def _release(self, key: str) -> None:
        if held := self._held.pop(key, None):
            held.close()
        self._files = {one for one in self._files if one[0] != key}

    def _name(self, key: str, name: str) -> str:
        return f"{self.folder}/{key}/{name}"
