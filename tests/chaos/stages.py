"""A line in small on the real engine: pictures are drawn, measured, and packed into a tar.

Like the real one it has files in the item cache that the next stage reads, a stage whose files the
command packs, an item that is rejected and one that is broken. An item takes 20 to 50 ms.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from pipeline.engine.cache import Cache
from pipeline.engine.stage import Reject, Stage
from pipeline.errors import DecodeError
from tests.chaos.faults import Site

REJECTED, BROKEN = 7, 13
PICTURE_BYTES = 20_000
DEADLINE_S = 8.0
MEMBERS = ("flac", "json", "mp4", "npz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What `draw` says of one number."""

    number: int
    artifact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What `measure` says of one picture."""

    number: int
    sha256: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """What `bundle` says of one sample."""

    number: int
    bytes: int
    artifact: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A row of `draw`, and where its file lies on a machine that has it."""

    number: int
    artifact: str
    path: Path

    @classmethod
    def of(cls, number: int, artifact: str, cache: Cache) -> "Picture":
        return cls(number, artifact, cache.place(artifact, "picture.bin"))


class Rehearsed(Stage[Any, Any]):
    """Notes every attempt at an item and has the fault that was planted for it."""

    version = "1"
    pause_s: ClassVar[float]

    def __init__(self, site: Site) -> None:
        self.site = site

    def item_id(self, item: Any) -> str:
        return f"{self.number_of(item):04d}"

    def number_of(self, item: Any) -> int:
        return int(item.number)

    def deadline_s(self, item: Any) -> float:
        return float(os.environ.get("CHAOS_DEADLINE_S", DEADLINE_S))

    def process(self, item: Any, workdir: Path) -> Sequence[Any] | Reject:
        number = self.number_of(item)
        self.site.note("begin", self.name, number)
        self.site.strike(self.name, number)
        time.sleep(self.pause_s)
        made = self.make(item, workdir)
        self.site.note("end", self.name, number)
        return made

    def make(self, item: Any, workdir: Path) -> Sequence[Any] | Reject:
        raise NotImplementedError


class Draw(Rehearsed):
    """A number becomes a picture, one is rejected and one is broken."""

    name = "draw"
    pause_s = 0.03

    def number_of(self, item: int) -> int:
        return item

    def identity(self, item: int) -> Mapping[str, Any]:
        return {"number": item}

    def make(self, item: int, workdir: Path) -> Sequence[Drawn] | Reject:
        if item == REJECTED:
            return Reject("unwanted")
        if item == BROKEN:
            raise DecodeError("broken")
        (workdir / "picture.bin").write_bytes(Random(item).randbytes(PICTURE_BYTES))
        return [Drawn(number=item)]


class Measure(Rehearsed):
    """A picture becomes numbers."""

    name = "measure"
    pause_s = 0.02

    def identity(self, item: Picture) -> Mapping[str, Any]:
        return {"number": item.number, "picture": item.artifact}

    def artifacts(self, item: Picture) -> Sequence[tuple[str, str]]:
        return [(item.artifact, "picture.bin")]

    def make(self, item: Picture, workdir: Path) -> Sequence[Measured]:
        found = sha256(item.path.read_bytes()).hexdigest()
        return [Measured(number=item.number, sha256=found, source=item.artifact)]


class Bundle(Measure):
    """A picture becomes the members of a sample, which the command packs."""

    name = "bundle"
    pause_s = 0.05

    def make(self, item: Picture, workdir: Path) -> Sequence[Bundled]:
        content = item.path.read_bytes()
        for number, member in enumerate(MEMBERS):
            (workdir / f"{item.number:04d}.{member}").write_bytes(content[number::4])
        return [Bundled(number=item.number, bytes=len(content))]
