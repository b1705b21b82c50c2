"""The interface of a curation stage."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker occupies on its node.

    A node with less memory than its CPUs would need runs fewer workers, but one at least. A worker
    that the system kills for memory is only itself to blame if it had more than `memory_bytes`.
    """

    cpus: float = 1.0
    memory_bytes: int = 1_000_000_000
    """The most that `process` was measured to need, with Ray's own client (docs/performance.md)."""
    gpus: float = 0.0
    """Share of a card, where the cluster has one."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The input was readable but is not wanted.

    `reason` is a fixed code, never free text; `detail` says more to a person. `row` carries what
    was measured when only a part of the item (one track of a video, say) is rejected.
    """

    reason: str
    detail: str = ""
    row: Any = None


class Stage(ABC, Generic[In, Out]):
    """One step of curation: one item of type In becomes rows of type Out.

    Lifecycle: `__init__` runs once in the driver and stays cheap and picklable; `setup` runs once
    per worker and loads weights; `process` runs per item; `close` frees what `setup` took.

    `process` has exactly three endings, and they are counted separately:
      * it returns rows (single parts of an item may be Reject(reason, row=...))  -> kept
      * it returns Reject(reason)                                                 -> rejected
      * it raises MediaError                                                      -> failed
    Any other exception fails the item too and is never cached. Where the system or the network is
    behind it (pipeline/faults.py), or not enough memory, the reason says so, and the next
    `dvc repro` tries again. Else it is recorded as `bug`, with its traceback in events.jsonl: it
    counts as failed, and the next `dvc repro` tries it again, too.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    """Bump on purpose when the result of `process` changes: it invalidates cached items."""
    resources: Resources = Resources()

    @abstractmethod
    def item_id(self, item: In) -> str:
        """Name the item: unique in a run, stable between runs, without host or absolute path."""

    @abstractmethod
    def identity(self, item: In) -> Mapping[str, Any]:
        """Return all the content the result depends on (hashes and small values, no paths)."""

    def cache_params(self) -> Mapping[str, Any]:
        """Return the parameters that change the result. Workers, paths, batch sizes do not."""
        return {}

    def weights(self) -> Mapping[str, str]:
        """Return name -> SHA-256 of every model file the result depends on."""
        return {}

    def own_weights(self) -> Mapping[str, Path]:
        """Return name -> path of those of `weights` that the user named by a path.

        Workers on other machines, where they are absent, get them from the shared cache.
        """
        return {}

    def works_ahead_for(self) -> "Sequence[Stage[Any, Any]]":
        """Return other stages whose items this one's workers make on the way."""
        return ()

    def deadline_s(self, item: In) -> float:
        """Return the seconds after which the worker is taken for hung and killed."""
        return 600.0

    def artifacts(self, item: In) -> Sequence[tuple[str, str]]:
        """Return (cache key, file name) of what `process` will read from the item cache.

        They are fetched on the worker's machine and compared with their digests first;
        `Cache.place` says where they are.
        """
        return ()

    def plain(self, item: In) -> In:
        """Return the item without optional work: what is tried after the worker died on it.

        Runs in the driver. The cache key stays: the result must be that of the item itself.
        """
        return item

    def setup(self) -> None:
        """Load what is too heavy to pickle."""

    @abstractmethod
    def process(self, item: In, workdir: Path) -> Sequence[Out | Reject] | Reject:
        """Turn one item into rows. Pure: same item, params and weights, same answer.

        Files written into `workdir` (an empty, private folder) become the item's artifacts:
        they are committed with the rows, at once, under the item's cache key.
        """

    def close(self) -> None:
        """Free what `setup` took."""
