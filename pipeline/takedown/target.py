"""What a takedown is about: films, and all names under which something of them lies anywhere."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.engine.manifest import each_row
from pipeline.errors import SourceError

HEX = re.compile(r"[0-9a-f]{12,64}")
DIGEST_DIGITS = 64
PERSON = "person"
"""Column of a table with a person's label."""
CLIP_COLUMNS = ("clip_id", "source_clip_id")
KEY_COLUMNS = ("cache_key", "artifact")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Films, and what was made of them."""

    video_ids: frozenset[str] = frozenset()
    uris: frozenset[str] = frozenset()
    clip_ids: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    """Of the item cache."""
    samples: frozenset[str] = frozenset()
    """Those of the clip ids that are in shards."""
    shards: frozenset[str] = frozenset()
    """Names of their tars."""

    def has(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of any table is about one of the films."""
        names = {row.get(name) for name in ("item_id", *CLIP_COLUMNS)}
        by_film = row.get("video_id") in self.video_ids or row.get("item_id") in self.uris
        return by_film or bool(names & (self.clip_ids | self.video_ids))


def tables_below(data: Path) -> list[Path]:
    """Return every table of a run, those of failed runs too."""
    return sorted(data.rglob("*.parquet"))


def find_target(name: str, data: Path) -> Target:
    """Find the films that a name means, and all that was made of them.

    Args:
        name: a film's SHA-256 or its beginning (12 digits or more), its uri or URL as they stand in
            the tables, a speaker of the source list, or a person's label.

    Raises:
        SourceError: nothing has this name; says what was looked at.
    """
    tables = tables_below(data)
    films = (_films_named(name, tables) | _films_of_person(name, tables)) if name else set()
    if not films and len(name) == DIGEST_DIGITS and HEX.fullmatch(name):
        films = {name}
    if not films:
        persons = any(row[PERSON] for row in _rows(tables, {PERSON}, (PERSON,)))
        labels = "" if persons else f"; no table names a `{PERSON}`: no persons are labelled"
        raise SourceError(
            f"{name!r}: no film has this SHA-256, uri, URL or speaker in the tables below {data}"
            f"{labels}; `lipforge status` and {data}/ingest say what there is"
        )
    return _made_of(frozenset(films), tables)


def _films_named(name: str, tables: list[Path]) -> set[str]:
    found = set[str]()
    begins = name if HEX.fullmatch(name) else None
    for row in _rows(tables, {"video_id", "uri", "url", "speaker", "item_id"}, ("uri",)):
        video_id = row.get("video_id")
        named = name in (row.get("uri"), row.get("url"), row.get("speaker"))
        if video_id and (named or (begins and video_id.startswith(begins))):
            found.add(video_id)
    return found


def _films_of_person(name: str, tables: list[Path]) -> set[str]:
    rows = list(_rows(tables, {PERSON, "video_id", *CLIP_COLUMNS}, (PERSON,)))
    mine = [row for row in rows if row[PERSON] == name]
    found = {row["video_id"] for row in mine if row.get("video_id")}
    clips = {row.get(column) for row in mine for column in CLIP_COLUMNS} - {None}
    for row in _rows(tables, {"video_id", "clip_id"}, ("video_id", "clip_id")) if clips else ():
        if row["clip_id"] in clips and row["video_id"]:
            found.add(row["video_id"])
    return found


def _made_of(films: frozenset[str], tables: list[Path]) -> Target:
    uris, clips = set[str](), set[str]()
    samples, shards = set[str](), set[str]()
    for row in _rows(tables, {"video_id", "uri", "shard", *CLIP_COLUMNS}, ("video_id",)):
        if row["video_id"] in films:
            uris |= {row["uri"]} if row.get("uri") else set()
            clips |= {row[one] for one in CLIP_COLUMNS if row.get(one)}
            if row.get("shard"):
                samples.add(row["clip_id"])
                shards.add(row["shard"])
    named = Target(video_ids=films, uris=frozenset(uris), clip_ids=frozenset(clips))
    return Target(
        video_ids=films,
        uris=named.uris,
        clip_ids=named.clip_ids,
        keys=_own_keys(named, tables),
        samples=frozenset(samples),
        shards=frozenset(shards),
    )


def _own_keys(target: Target, tables: list[Path]) -> frozenset[str]:
    """Return the cache keys of the films' rows that no other row has."""
    own, others = set[str](), set[str]()
    wanted = {"item_id", "video_id", *CLIP_COLUMNS, *KEY_COLUMNS}
    for row in _rows(tables, wanted, ()):
        keys = {row[one] for one in KEY_COLUMNS if row.get(one)}
        if target.has(row):
            own |= keys
        else:
            others |= keys
    return frozenset(own - others)


def _rows(
    tables: list[Path], columns: set[str], needed: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the tables that have all the needed columns."""
    for table in tables:
        if set(needed) <= _columns(table):
            yield from each_row(table, columns)


def _columns(table: Path) -> set[str]:
    return set(pq.read_schema(table).names)
