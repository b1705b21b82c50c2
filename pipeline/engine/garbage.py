"""What `lipforge cache gc` removes: entries that no workspace needs, and results that were fetched.

Kept, whatever the roots say: entries of `ingest` (its table has no keys, since they hold a
machine's file times), entries younger than YOUNG_S (a run may be in progress), those whose age the
store does not tell, and entries that a stage makes ahead for another one while the first has not
ended: their keys are known only when the other one begins.
"""

import time
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipeline.engine.cache import Cache
from pipeline.engine.entry import META
from pipeline.engine.roots import needed, running
from pipeline.engine.side_store import SideStore, StoredFile

YOUNG_S = 3600.0
"""No run is known to commit an entry and to need longer to write down that it does."""
THREADS = 16
"""Requests at once: they wait for a disk or an object store."""
MAKES_AHEAD = {"scenes": "faces"}
"""Stage -> the stage of which it makes items."""
INCOMPLETE, UNKNOWN = "(incomplete)", "(unknown)"
RUNS, FETCHED = "runs", "fetched"
"""Folder of the results of jobs, and the file in a run's folder that says they were fetched."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """An entry of the cache, or the results of a job, that may be removed."""

    key: str
    """Of the entry; empty for results."""
    stage: str
    size_bytes: int
    folder: str
    """Below the root of the store."""


def find_garbage(cache: Cache, store: SideStore, named: Set[str]) -> list[Garbage]:
    """Return what neither `named` nor a registered workspace needs, by stage and key.

    Raises:
        StorageError: the cache cannot be read, or a root in it is damaged.
    """
    files = store.files()
    old = {key: some for key, some in _by_key(files).items() if _is_old(some)}
    wanted = named | needed(store)
    unwanted = {key: some for key, some in old.items() if key not in wanted}
    found = _garbage_entries(cache, unwanted, running(store))
    return sorted([*found, *_fetched_results(files)], key=lambda one: (one.stage, one.folder))


def remove(cache: Cache, store: SideStore, garbage: Sequence[Garbage], named: Set[str]) -> int:
    """Remove what is garbage still: somebody may have begun a run since it was found.

    Returns:
        How many entries and results were removed.
    """
    wanted = named | needed(store)
    going = [one for one in garbage if one.key not in wanted]
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda one: _remove(cache, store, one), going))
    cache.sweep()
    return len(going)


def _remove(cache: Cache, store: SideStore, one: Garbage) -> None:
    if one.key:
        cache.forget(one.key)
    else:
        store.remove(one.folder)


def _by_key(files: Sequence[StoredFile]) -> dict[str, list[StoredFile]]:
    entries: dict[str, list[StoredFile]] = {}
    for one in files:
        parts = one.name.split("/")
        if len(parts) == 3 and len(parts[0]) == 2 and parts[1].startswith(parts[0]):
            entries.setdefault(parts[1], []).append(one)
    return entries


def _is_old(files: Sequence[StoredFile]) -> bool:
    times = [one.changed_s for one in files if one.changed_s is not None]
    return len(times) == len(files) and time.time() - max(times) > YOUNG_S


def _garbage_entries(
    cache: Cache, unwanted: Mapping[str, Sequence[StoredFile]], unended: Set[str]
) -> list[Garbage]:
    kept = {"ingest", *(MAKES_AHEAD[stage] for stage in unended if stage in MAKES_AHEAD)}
    with ThreadPoolExecutor(THREADS) as threads:
        stages = list(threads.map(lambda item: _stage_of(cache, *item), unwanted.items()))
    return [
        Garbage(key, stage, _bytes(files), f"{key[:2]}/{key}")
        for (key, files), stage in zip(unwanted.items(), stages, strict=True)
        if stage not in kept
    ]


def _stage_of(cache: Cache, key: str, files: Sequence[StoredFile]) -> str:
    if not any(one.name.endswith(f"/{META}") for one in files):
        return INCOMPLETE
    return cache.stage_of(key) or UNKNOWN


def _fetched_results(files: Sequence[StoredFile]) -> list[Garbage]:
    runs: dict[str, list[StoredFile]] = {}
    for one in files:
        if one.name.startswith(f"{RUNS}/"):
            runs.setdefault("/".join(one.name.split("/")[:2]), []).append(one)
    return [
        Garbage("", "(results of jobs)", _bytes(some), folder)
        for folder, some in runs.items()
        if _is_old(some) and any(one.name == f"{folder}/{FETCHED}" for one in some)
    ]


def _bytes(files: Sequence[StoredFile]) -> int:
    return sum(one.size_bytes for one in files)


def by_stage(garbage: Sequence[Garbage]) -> dict[str, Any]:
    """Return stage -> (entries, bytes), by name."""
    sums: dict[str, tuple[int, int]] = {}
    for one in garbage:
        count, size = sums.get(one.stage, (0, 0))
        sums[one.stage] = (count + 1, size + one.size_bytes)
    return dict(sorted(sums.items()))
