"""A takedown from its beginning to its proof. Killed in the middle, the next call completes it.

What is to be removed is written down first (`.cache/takedown.json`): the tables that know it are
among what is rewritten. Each step may be done again.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json, write_text
from pipeline.engine.command import DATA
from pipeline.errors import ManifestError, StorageError
from pipeline.faces.film_source import FilmSource
from pipeline.params.curation import load_params
from pipeline.shard_index.exclusion import EXCLUDE, Exclusion, read_exclusion
from pipeline.shard_index.index_file import INDEX, bytes_at, read_index
from pipeline.shard_index.quiet import QUIET
from pipeline.shards.datacard import datacard
from pipeline.shards.place import TarPlace, tar_place
from pipeline.tables.rows import Video
from pipeline.tables.run_tables import RunTables
from pipeline.takedown.people_left import recount_people
from pipeline.takedown.places import (
    cache_entries,
    clean_notes,
    dvc_objects,
    film_copies,
    notes_of,
    reports_of,
    rest_of,
    tars_of,
)
from pipeline.takedown.rewriting import TABLE, rewrite_shards, rewrite_sidecar, rewrite_tables
from pipeline.takedown.target import Target
from pipeline.takedown.traces import Traces
from pipeline.taken_down import note_taken_down

JOURNAL = Path(".cache/takedown.json")
SHARDS = DATA / "shards"
FEATURES = DATA / "features"
"""Arrays beside the shards: of every kind a folder with a table and an index, here or below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takedown:
    """What is to be removed, as the journal holds it."""

    query: str
    date: str
    reason: str
    target: Target
    entries: tuple[str, ...]
    """Keys of the item cache."""
    digests: frozenset[str]
    """Of files that were made of the films."""
    sizes: frozenset[int]
    """Of the films."""

    @property
    def traces(self) -> Traces:
        """Return what must not be found afterwards."""
        return Traces.of(self.target, self.digests)

    def to_json(self) -> dict[str, Any]:
        """Return the journal's content."""
        target = {name: sorted(getattr(self.target, name)) for name in Target.__slots__}
        return {
            "query": self.query,
            "date": self.date,
            "reason": self.reason,
            "target": target,
            "entries": list(self.entries),
            "digests": sorted(self.digests),
            "sizes": sorted(self.sizes),
        }

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> "Takedown":
        """Read it."""
        target = Target(**{name: frozenset(one) for name, one in content["target"].items()})
        return cls(
            query=content["query"],
            date=content["date"],
            reason=content["reason"],
            target=target,
            entries=tuple(content["entries"]),
            digests=frozenset(content["digests"]),
            sizes=frozenset(content["sizes"]),
        )


def planned_takedown(query: str, target: Target, date: str, reason: str) -> Takedown:
    """Say what is to be removed; nothing is yet.

    Raises:
        StorageError: the item cache cannot be read.
    """
    films = [one for one in _videos() if one.video_id in target.video_ids]
    keys = target.keys | {FilmSource(one).sound_key() for one in films}
    entries, digests = cache_entries().own(Traces.of(target, frozenset()), frozenset(keys))
    return Takedown(
        query=query,
        date=date,
        reason=reason,
        target=target,
        entries=tuple(entries),
        digests=digests,
        sizes=frozenset(one.size_bytes for one in films),
    )


def _videos() -> list[Video]:
    tables = RunTables(DATA)
    return tables.rows("ingest", Video) if tables.exists("ingest") else []


def unfinished() -> Takedown | None:
    """Return the takedown that was begun and not completed.

    Raises:
        StorageError: its journal is damaged.
    """
    try:
        return Takedown.of_json(json.loads(JOURNAL.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{JOURNAL}: damaged: {error!r}; remove it and call again") from error


def carry_out(takedown: Takedown) -> Iterator[str]:
    """Remove everything, saying each step; the journal stays until `completed`.

    Raises:
        StorageError, UnreadableError: a place cannot be reached or written; call again.
    """
    write_json(JOURNAL, takedown.to_json())
    target, traces = takedown.target, takedown.traces
    note_taken_down(target.video_ids, _noted(takedown))
    yield "noted in takedowns.json"
    if (SHARDS / INDEX).is_file():
        _rewrite_tars(target)
        yield f"{len(target.shards)} tars written again, {len(target.samples)} samples fewer"
    yield f"{rewrite_tables(DATA, target)} rows taken out of the tables"
    recount_people(DATA)
    _unlist(target)
    if (SHARDS / INDEX).is_file() and RunTables(DATA).exists("ingest"):
        card = datacard(RunTables(DATA), SHARDS / INDEX, load_params())
        write_text(SHARDS / "README.md", card)
        yield f"{SHARDS / 'README.md'} counts anew"
    entries = cache_entries()
    hints = entries.hints(traces)
    entries.remove(list(takedown.entries), hints)
    yield f"{len(takedown.entries)} entries removed from {entries.store.where}"
    clean_notes(traces)
    for what, files in (
        ("local copies of films", film_copies(takedown.sizes, target.video_ids)),
        ("reports", reports_of(traces)),
        ("files of DVC's cache", dvc_objects(traces)),
    ):
        for path in files:
            path.unlink(missing_ok=True)
        yield f"{len(files)} {what} removed"


def completed() -> None:
    """Forget the journal: it names what must not be found."""
    JOURNAL.unlink(missing_ok=True)


def _noted(takedown: Takedown) -> dict[str, Any]:
    said = {"date": takedown.date, "reason": takedown.reason}
    return {name: text for name, text in said.items() if text}


def _rewrite_tars(target: Target) -> None:
    rewrite_shards(SHARDS, tar_place(SHARDS), target.shards, target.clip_ids)
    if (SHARDS / QUIET / INDEX).is_file():
        place = tar_place(SHARDS / QUIET, QUIET)
        rewrite_shards(SHARDS / QUIET, place, target.shards, target.clip_ids)
    digests = {one["name"]: one["sha256"] for one in read_index(str(SHARDS))["shards"]}
    for below in array_folders():
        rewrite_sidecar(DATA / below, tar_place(DATA / below, below), target, digests)


def array_folders() -> list[str]:
    """Return the folders of arrays: below data/, their tars perhaps so at $LIPFORGE_SHARDS."""
    return sorted(one.parent.relative_to(DATA).as_posix() for one in FEATURES.rglob(TABLE))


def _unlist(target: Target) -> None:
    """Take what is gone out of exclude.json, beside the index and at the tars' place."""
    gone = Exclusion(target.clip_ids, target.video_ids)
    listed = read_exclusion(str(SHARDS))
    rest = Exclusion(listed.samples - gone.samples, listed.sources - gone.sources)
    if rest != listed:
        write_exclusion(rest)


def exclude(target: Target) -> Exclusion:
    """Add films to the list of what readers leave out; return all of it.

    Raises:
        ManifestError: there are no shards here.
        StorageError, UnreadableError: the list cannot be written.
    """
    if not (SHARDS / INDEX).is_file():
        raise ManifestError(f"{SHARDS / INDEX}: absent; there are no shards to exclude from")
    listed = read_exclusion(str(SHARDS)) | Exclusion(target.samples, target.video_ids)
    write_exclusion(listed)
    return listed


def write_exclusion(listed: Exclusion) -> None:
    """Write the list beside index.json, and to the place of the tars where that is another."""
    write_json(SHARDS / EXCLUDE, listed.to_json())
    place = tar_place(SHARDS)
    if place.sealed:
        place.write_small(EXCLUDE, (SHARDS / EXCLUDE).read_bytes())


def remains(takedown: Takedown, films: Collection[str] = ()) -> dict[str, list[str]]:
    """Search every place for a trace: what was looked at -> where something was found.

    Args:
        films: paths of the films themselves, where they lie below data/.

    Raises:
        StorageError, UnreadableError: a place cannot be reached.
    """
    traces, target = takedown.traces, takedown.target
    entries = cache_entries()
    return {
        "tables, shards, features and all else below data/": [
            str(one) for one in rest_of(DATA, traces) if str(one.absolute()) not in films
        ],
        "tars at LIPFORGE_SHARDS": list(tars_of(_placed_tars(), traces)),
        "item cache": entries.named(traces) + entries.hints(traces),
        "local copies of films": [str(p) for p in film_copies(takedown.sizes, target.video_ids)],
        "reports": [str(one) for one in reports_of(traces)],
        "notes and events": [str(one) for one in notes_of(traces)],
        "DVC's cache": [str(one) for one in dvc_objects(traces)],
    }


def _placed_tars() -> list[str]:
    found = []
    beside = [(DATA / one, one) for one in array_folders()]
    for folder, below in ((SHARDS, ""), (SHARDS / QUIET, QUIET), *beside):
        place: TarPlace = tar_place(folder, below)
        text = bytes_at(str(folder / INDEX)) if place.sealed else None
        found += [place.url(one["name"]) for one in json.loads(text or b"{}").get("shards", ())]
    return found
