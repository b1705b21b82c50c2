"""What the stages that make samples have in common: the item, and what its result depends on."""

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pipeline.engine.stage import Resources, Stage
from pipeline.shards.sample import SelectedClip, sample_facts

Row = TypeVar("Row")


class SampleStage(Stage[SelectedClip, Row], ABC):
    """Makes the four members of one sample."""

    resources = Resources(memory_bytes=500_000_000)

    def item_id(self, item: SelectedClip) -> str:
        """Return the clip's id."""
        return item.selected.clip_id

    def identity(self, item: SelectedClip) -> Mapping[str, Any]:
        """Return all facts that go into the sample, and what names its files and labels."""
        return {**sample_facts(item), **item.sources()}

    def artifacts(self, item: SelectedClip) -> Sequence[tuple[str, str]]:
        """Return the clip's three files."""
        return item.files.artifacts()
