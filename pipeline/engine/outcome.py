"""The outcome of one item, as the runner reports it and the cache stores it."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.engine.stage import Reject
from pipeline.errors import DamagedCacheError, MediaError, TransientError
from pipeline.faults import without_secrets

Status = Literal["kept", "rejected", "failed", "quarantined"]
STATUSES: tuple[Status, ...] = ("kept", "rejected", "failed", "quarantined")
"""Every ending an item can have; the counts over them add up to the items that went in."""


@dataclass(frozen=True, slots=True)
class Part:
    """One table row of an item: kept with its values, or rejected with a reason."""

    status: Status
    reason: str = ""
    detail: str = ""
    row: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The ending of one item; `parts` holds its table rows, at least one."""

    item_id: str
    status: Status
    parts: tuple[Part, ...]
    key: str = ""
    cached: bool = False
    final: bool = True
    """False for a bug of ours: not cached, and tried again by the next `dvc repro`."""
    trace: str = ""
    """Where a bug happened: for events.jsonl, never for a table."""
    transient: bool = False
    """True for a fault of the moment: not cached, and tried again by the next `dvc repro`."""
    damaged: tuple[str, str] | None = None
    """Cache key and name of the damaged file of another item that this one needs."""

    @property
    def reason(self) -> str:
        """The reason code of an item that was not kept."""
        return self.parts[0].reason if self.status != "kept" else ""

    @property
    def detail(self) -> str:
        """The message of an item that was not kept."""
        return self.parts[0].detail if self.status != "kept" else ""

    def to_json(self) -> dict[str, Any]:
        """Return what the cache stores: nothing of where or when it was computed."""
        return {"status": self.status, "parts": [shallow(part) for part in self.parts]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], item_id: str, key: str) -> "Outcome":
        """Rebuild an outcome found in the cache."""
        parts = tuple(Part(**part) for part in stored["parts"])
        return cls(item_id, stored["status"], parts, key, cached=True)


@dataclass(frozen=True, slots=True)
class Work:
    """One item on its way to a worker."""

    item_id: str
    key: str
    item: Any = field(repr=False)
    deadline_s: float = 600.0


def finished(work: Work, produced: Sequence[Any] | Reject) -> Outcome:
    """Turn what `process` returns into an outcome.

    Raises:
        ValueError: as `kept`.
    """
    return rejected(work, produced) if isinstance(produced, Reject) else kept(work, produced)


def kept(work: Work, produced: Sequence[Any]) -> Outcome:
    """Turn the rows of a `process` call into an outcome: rejected when every one of them is.

    Raises:
        ValueError: no row at all, which would lose the item.
    """
    if not produced:
        raise ValueError(f"{work.item_id}: process returned no row; return Reject(reason) instead")
    parts = tuple(part_of(row, work.key) for row in produced)
    status: Status = "kept" if any(part.status == "kept" for part in parts) else "rejected"
    return Outcome(work.item_id, status, parts, work.key)


def rejected(work: Work, reject: Reject) -> Outcome:
    """Turn a rejection of the whole item into an outcome."""
    return Outcome(work.item_id, "rejected", (part_of(reject, work.key),), work.key)


def failed(work: Work, error: MediaError) -> Outcome:
    """Turn a MediaError into an outcome."""
    part = Part("failed", error.reason, without_secrets(str(error)))
    damaged = (error.key, error.name) if isinstance(error, DamagedCacheError) else None
    transient = isinstance(error, TransientError)
    return Outcome(work.item_id, "failed", (part,), work.key, transient=transient, damaged=damaged)


def given_up(work: Work, reason: str, detail: str) -> Outcome:
    """Record an item whose worker was lost, for a reason that may not be there the next time."""
    return Outcome(
        work.item_id, "failed", (Part("failed", reason, detail),), work.key, transient=True
    )


def bug(work: Work, error: BaseException) -> Outcome:
    """Record an unexpected exception as a bug of ours; it is not cached.

    The message is followed by where it happened, without the folders of this machine.
    """
    said = without_secrets(f"{type(error).__name__}: {error}")
    part = Part("failed", "bug", "\n".join([said, *frames_of(error)]))
    return Outcome(work.item_id, "failed", (part,), work.key, final=False, trace=trace_of(error))


def trace_of(error: BaseException) -> str:
    """Return the traceback of an exception and of its causes, as Python prints it."""
    return without_secrets("".join(traceback.format_exception(error)))


def frames_of(error: BaseException) -> list[str]:
    """Return file, line and function of each frame of a traceback, the innermost last.

    Files are named from the project's folder or the package's on: the same on every machine.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return [f"at {_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _place(file: str) -> str:
    path = Path(file)
    if "site-packages" in path.parts:
        return file.rpartition("site-packages/")[2]
    for folder in (Path.cwd(), Path(__file__).parents[2]):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return path.name


def quarantined(work: Work, reason: str, detail: str) -> Outcome:
    """Record an item that killed its worker though no other item was processed meanwhile."""
    return Outcome(work.item_id, "quarantined", (Part("quarantined", reason, detail),), work.key)


def part_of(produced: Any, key: str = "") -> Part:
    """Turn what `process` gives for one row into a part."""
    if isinstance(produced, Reject):
        row = None if produced.row is None else _values(produced.row, key)
        return Part("rejected", produced.reason, produced.detail, row)
    return Part("kept", row=_values(produced, key))


def _values(row: Any, key: str) -> dict[str, Any]:
    return shallow(replace(row, artifact=key) if hasattr(row, "artifact") else row)


def shallow(row: Any) -> dict[str, Any]:
    """Return the fields of a row; `asdict` would copy its lists, value by value, in 1.5 ms."""
    return {one.name: getattr(row, one.name) for one in fields(row)}
