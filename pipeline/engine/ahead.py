"""Results of a later stage that an earlier one makes on the way, from one decode.

They go into the item cache under the later stage's own key: it finds them there, and makes what it
does not find. So the tables are the same whether an earlier stage worked ahead or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from pipeline.engine import outcome as ending
from pipeline.engine.cache import Cache
from pipeline.engine.command import item_key, stage_facts
from pipeline.engine.outcome import Work
from pipeline.engine.stage import In, Out, Reject, Stage


@dataclass(frozen=True, slots=True)
class Ahead(Generic[In, Out]):
    """A later stage, where its results go, and what they depend on besides the item."""

    stage: Stage[In, Out]
    cache: Cache
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, stage: Stage[In, Out], cache: Cache) -> "Ahead[In, Out]":
        """Read the facts of a stage."""
        return cls(stage, cache, stage_facts(stage))

    def commit(self, item: In, produced: Sequence[Out | Reject] | Reject, folder: Path) -> None:
        """Store the rows and the files of one item, unless they are there.

        Args:
            folder: of `cache.workdir()`, with the files.

        Raises:
            StorageError: they cannot be stored.
        """
        key = item_key(self.stage, item, self.facts)
        if self.cache.lookup(key) is not None:
            return
        work = Work(self.stage.item_id(item), key, item)
        result = ending.finished(work, produced)
        self.cache.commit(key, {"stage": self.stage.name, **result.to_json()}, folder)
