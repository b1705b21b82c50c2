"""Writing of tars as items of a stage: workers read the members from the item cache, where it is.

The driver plans, and knows a tar by its digest; it moves no member.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.digest import digest
from pipeline.engine.cache import Cache
from pipeline.engine.command import plan, run_stage
from pipeline.engine.outcome import Outcome, Work
from pipeline.engine.progress import EVENTS
from pipeline.engine.roots import needing
from pipeline.engine.runner import Runner, SerialRunner
from pipeline.engine.stage import Reject, Stage
from pipeline.errors import StorageError
from pipeline.params.environment import environment
from pipeline.scratch import local_scratch, scratch_folder
from pipeline.shards.place import TarPlace
from pipeline.shards.tar import write_tar

PACKINGS = 3
"""Members that turn out to be damaged in the item cache are made again so often in one run."""
BYTES_PER_S = 1e6
"""A tar is read, written and read back at this speed at least."""
CHECKS = 16
"""Tars that are looked for at once."""


@dataclass(frozen=True, slots=True)
class TarToWrite:
    """The content of one tar."""

    name: str
    """Below the place: `train/train-0002-000.tar`."""
    members: tuple[tuple[str, str], ...]
    """(file name, cache key of its item) in their order."""
    num_bytes: int
    """Of all members, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTar:
    """One tar as it lies at its place."""

    name: str
    sha256: str
    num_bytes: int


class WriteTars(Stage[TarToWrite, WrittenTar]):
    """Writes one tar to a place. Only what was written is cached, not the tar."""

    name: ClassVar[str] = "tars"
    version: ClassVar[str] = "1"

    def __init__(self, place: TarPlace, cache: Cache) -> None:
        self.place, self.cache = place, cache

    def item_id(self, item: TarToWrite) -> str:
        """Return the tar's name."""
        return item.name

    def identity(self, item: TarToWrite) -> Mapping[str, Any]:
        """Return name and members; where it lies changes no byte."""
        return {"name": item.name, "members": digest([list(one) for one in item.members])}

    def deadline_s(self, item: TarToWrite) -> float:
        """Return ten minutes, and a second per megabyte for each of three ways."""
        return 600 + 3 * item.num_bytes / BYTES_PER_S

    def artifacts(self, item: TarToWrite) -> Sequence[tuple[str, str]]:
        """Return the members."""
        return [(key, name) for name, key in item.members]

    def process(self, item: TarToWrite, workdir: Path) -> Sequence[WrittenTar | Reject] | Reject:
        """Write the tar; on an object store it is read back and compared.

        Raises:
            UnreadableError: the store refuses.
            StorageError: the disk is full or not writable.
        """
        files = [(name, self.cache.place(key, name)) for name, key in item.members]
        with scratch_folder(local_scratch()) as folder:
            sha256, num_bytes = self.place.write(
                item.name, folder, lambda path: write_tar(path, files)
            )
        return [WrittenTar(name=item.name, sha256=sha256, num_bytes=num_bytes)]


def until_packed(owner: str, make_and_pack: Callable[[], bool]) -> None:
    """Make the items of a stage and pack them; both again where one turned out to be damaged.

    Raises:
        StorageError: an item is damaged in the item cache whenever it was made.
    """
    if not any(make_and_pack() for _ in range(PACKINGS)):
        fix = "check the storage behind LIPFORGE_CACHE, which does not keep its bytes; run again"
        raise StorageError(f"{owner}: items are damaged in the item cache though made anew; {fix}")


def write_tars(
    tars: Sequence[TarToWrite], place: TarPlace, cache: Cache, owner: str
) -> dict[str, WrittenTar] | None:
    """Write the tars that are not at their place; remove those of an earlier run.

    Args:
        owner: the stage whose tars they are.

    Returns:
        All tars by name; None where a member was damaged in the item cache: it is forgotten there,
        and the owner's items are to be made once more.

    Raises:
        StorageError: a tar could not be written; says why. The others are.
    """
    stage = WriteTars(place, cache)
    work = plan(stage, tars)
    run = f"{owner.replace('/', '.')}.{stage.name}"
    with needing(run, [one.key for one in work]):
        with ThreadPoolExecutor(CHECKS) as threads:
            list(threads.map(lambda one: _forget_unless_there(one, place, cache), work))
        outcomes = run_stage(stage, tars, _runner(place), cache)
        if any(one.damaged for one in outcomes):
            return None
        _require_all(owner, outcomes)
        written = [_written(one) for one in outcomes]
        place.remove_others({one.name for one in written})
    return {one.name: one for one in written}


def _require_all(owner: str, outcomes: Sequence[Outcome]) -> None:
    if bad := [one for one in outcomes if one.status != "kept"]:
        first = f"{bad[0].item_id}: {bad[0].reason}: {bad[0].detail}"
        fix = f"run it again, the others stay; tracebacks are in {EVENTS}"
        raise StorageError(
            f"{owner}: {len(bad)} of {len(outcomes)} tars are not written; first: {first}; {fix}"
        )


def _forget_unless_there(work: Work, place: TarPlace, cache: Cache) -> None:
    stored = cache.lookup(work.key)
    if stored is None:
        return
    tar = _written(Outcome.from_json(stored, work.item_id, work.key))
    if not place.has(tar.name, tar.sha256, tar.num_bytes):
        cache.forget(work.key)


def _written(outcome: Outcome) -> WrittenTar:
    assert outcome.parts[0].row, "a tar that was written has a row"
    return WrittenTar(**outcome.parts[0].row)


def _runner(place: TarPlace) -> Runner | None:
    """Return the runner of the tars; None: the usual. A cluster does not see a folder of ours."""
    return SerialRunner() if environment().ray_address and not place.sealed else None
