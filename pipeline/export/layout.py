"""What every layout is: a class that is given the clips one by one and writes a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from pipeline.export.contents import ClipEntry, ExportSample, ShardFile


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """Where a layout writes."""

    folder: Path
    """Empty; takes the name `out` when the export is whole."""
    out: Path
    """Absolute: what a list of absolute paths must name."""
    files: Sequence[ShardFile]
    """The tars of the export."""


class ExportLayout(Protocol):
    """One layout. Made once per export; `add` is called in the order of the shards."""

    name: ClassVar[str]
    min_frames: ClassVar[int]
    """Shorter clips are left out: the consumer's reader fails on them or skips them."""
    notes: ClassVar[tuple[str, ...]]
    """What is lost, and what the consumer has to make itself."""

    def begin(self, clips: Sequence[ClipEntry]) -> str:
        """Check what can be checked before any work; return a remark to print, or nothing."""
        ...

    def add(self, sample: ExportSample) -> str:
        """Write one clip; return why it was left out, else nothing."""
        ...

    def finish(self) -> None:
        """Write lists and indices."""
        ...
