"""All places of a project in which a film may have left something, and their removal there."""

import configparser
import json
import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json, write_text
from pipeline.digest import canonical_json, file_sha256
from pipeline.engine.again import AGAIN
from pipeline.engine.cache import open_cache
from pipeline.engine.entry import META
from pipeline.engine.progress import EVENTS
from pipeline.engine.side_store import SideStore, side_store
from pipeline.local_copies import FETCHING, LOCK, open_copies
from pipeline.sources import local_copy
from pipeline.takedown.traces import Traces

REPORTS = Path("reports")
PAGE = REPORTS / "report.html"
"""Shows pictures of clips that it does not name."""
DVC = Path(".dvc")
READERS = 32
"""Entries of the cache that are read at once."""


@dataclass(frozen=True, slots=True)
class CacheEntries:
    """The item cache, local or remote."""

    store: SideStore

    def metas(self) -> Iterator[tuple[str, bytes]]:
        """Yield key and meta.json of every entry."""
        names = [one.name for one in self.store.files() if one.name.endswith(f"/{META}")]
        with ThreadPoolExecutor(READERS) as threads:
            for name, meta in zip(names, threads.map(self.store.read, names), strict=True):
                yield name.rsplit("/", 2)[1], meta or b""

    def named(self, traces: Traces) -> list[str]:
        """Return the keys of the entries whose meta.json names a film or a file made of it."""
        return sorted(key for key, meta in self.metas() if traces.in_bytes(meta))

    def own(self, traces: Traces, keys: frozenset[str]) -> tuple[list[str], frozenset[str]]:
        """Return the keys of the entries that are of a film, and the SHA-256 of their files.

        Files that other entries have, too, are left out: silence, say, is nobody's.

        Args:
            keys: of entries that are known to be of a film, whatever they name.
        """
        own, mine, others = list[str](), set[str](), set[str]()
        for key, meta in self.metas():
            is_own = key in keys or traces.in_bytes(meta)
            own += [key] if is_own else []
            (mine if is_own else others).update(_digests(meta))
        return sorted(own), frozenset(mine - others)

    def hints(self, traces: Traces) -> list[str]:
        """Return the packs, which are copies of metas, that name one."""
        names = [one.name for one in self.store.files("packs")]
        return [one for one in names if traces.in_bytes(self.store.read(one) or b"")]

    def remove(self, keys: list[str], hints: list[str]) -> None:
        """Remove entries with their local copies, and packs."""
        cache = open_cache()
        for key in keys:
            cache.forget(key)
            self.store.remove(f"{key[:2]}/{key}")  # also what has no meta.json any more
        for name in hints:
            self.store.remove_file(name)


def _digests(meta: bytes) -> set[str]:
    try:
        return {one["sha256"] for one in json.loads(meta)["files"].values()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()  # damaged, or of an old version: nobody reads it


def cache_entries() -> CacheEntries:
    """Return the entries of this environment's cache."""
    return CacheEntries(side_store())


def film_copies(sizes: frozenset[int], video_ids: frozenset[str]) -> list[Path]:
    """Return the local copies of remote films that are one of these."""
    root = open_copies().root / "films"
    return [
        path
        for path in sorted(root.glob("*"))
        if path.is_file()
        and path.suffix not in (LOCK, FETCHING)
        and path.stat().st_size in sizes
        and file_sha256(path) in video_ids
    ]


def reports_of(traces: Traces) -> list[Path]:
    """Return the reports that show or name a film: the page always, if there is one."""
    files = [path for path in sorted(REPORTS.rglob("*")) if path.is_file()]
    return [one for one in files if one == PAGE or _is_of(one, traces)]


def rest_of(data: Path, traces: Traces) -> list[Path]:
    """Return all other files below `data` that name a film or hold a file of it."""
    return [path for path in sorted(data.rglob("*")) if path.is_file() and _is_of(path, traces)]


def _is_of(path: Path, traces: Traces) -> bool:
    return traces.in_name(path.name) or traces.in_file(path)


def clean_notes(traces: Traces) -> None:
    """Take the films out of what is to be done again, and out of the log of events."""
    for path in sorted(AGAIN.glob("*.json")):
        if traces.in_file(path):
            content = json.loads(path.read_text(encoding="utf-8"))
            write_json(path, {name: _cleaned(one, traces) for name, one in content.items()})
    if EVENTS.is_file() and traces.in_file(EVENTS):
        lines = EVENTS.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(EVENTS, "".join(one for one in lines if not traces.in_bytes(one.encode())))


def _cleaned(noted: Any, traces: Traces) -> Any:
    if isinstance(noted, Mapping):
        named = {k for k, v in noted.items() if traces.in_bytes(canonical_json([k, v]).encode())}
        return {name: value for name, value in noted.items() if name not in named}
    return [one for one in noted if not traces.in_bytes(canonical_json(one).encode())]


def notes_of(traces: Traces) -> list[Path]:
    """Return the notes that name a film."""
    files = [*sorted(AGAIN.glob("*.json")), EVENTS]
    return [path for path in files if path.is_file() and traces.in_file(path)]


def dvc_objects(traces: Traces) -> list[Path]:
    """Return the files of DVC's cache that name a film or hold a file of it."""
    root = _dvc_cache()
    return [one for one in sorted(root.rglob("*")) if one.is_file() and traces.in_file(one)]


def dvc_commands() -> list[str]:
    """Return what removes older outputs where this command does not look: DVC's remotes."""
    names = [one.split('"')[1] for one in _dvc_config() if one.startswith('remote "')]
    return [f"dvc gc --workspace --cloud --remote {shlex.quote(one)}" for one in names]


def _dvc_cache() -> Path:
    config = _dvc_config()
    named = config.get("cache", {}).get("dir", "")
    return (DVC / named).resolve() if named else DVC / "cache"


def _dvc_config() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for file in (DVC / "config", DVC / "config.local"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(file, encoding="utf-8")
        for section in parser.sections():
            found.setdefault(section.strip("'"), {}).update(parser[section])
    return found


def tars_of(urls: list[str], traces: Traces) -> Iterator[str]:
    """Yield the tars at a place that name a film or hold a file of it."""
    for url in urls:
        with local_copy(url) as path:
            if traces.in_file(path):
                yield url
