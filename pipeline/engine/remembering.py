"""What a stage has computed is made quick to look up while it runs, not only when it has ended.

On an object store that takes a request per new item (`Cache.remember`), which a driver that is
killed would leave to the next one. So it happens beside the stage, in a thread, in growing
portions.
"""

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from pipeline.engine.cache import Cache
from pipeline.errors import StorageError

FIRST = 5000
"""Items of the first portion."""
GROWTH = 4
"""Each next one is at least this part of all before it, so that packs are rewritten seldom."""


class Remembering:
    """Context manager around the computing of a stage's items; the rest follows at its end."""

    def __init__(self, cache: Cache, stage: str) -> None:
        self.cache, self.stage = cache, stage
        self.new: list[str] = []
        self.done = 0
        self.thread = ThreadPoolExecutor(1)
        self.pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def add(self, key: str) -> None:
        """Note an item that is finished."""
        self.new.append(key)
        due = len(self.new) >= max(FIRST, self.done // GROWTH)
        if due and (self.pending is None or self.pending.done()):
            self._submit()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._submit()
        self.thread.shutdown(cancel_futures=kind is not None)

    def _submit(self) -> None:
        self.pending = self.thread.submit(self._remember, self.new)
        self.done += len(self.new)
        self.new = []

    def _remember(self, keys: list[str]) -> None:
        try:
            self.cache.remember(self.stage, keys)
        except StorageError as error:
            sys.stderr.write(f"warning: {self.stage}: the next look-up will be slow: {error}\n")
