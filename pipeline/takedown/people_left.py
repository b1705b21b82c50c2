"""`data/select/people.json` as it is without the films that are gone: it names two clips."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from pipeline.identity.persons import ComparedFaces, SeenClip
from pipeline.selection.people import HELD_OUT
from pipeline.tables.people_facts import People, read_people, write_people
from pipeline.tables.rows import Quality, Selected
from pipeline.tables.run_tables import SERIES, RunTables

TRAIN = "train"


def recount_people(data: Path) -> None:
    """Write the file again from the tables that are left; nothing where `select` has not run.

    Raises:
        ManifestError: it or a table is damaged.
        StorageError: it cannot be written.
    """
    before, tables = read_people(data), RunTables(data)
    if before is None or not tables.exists("select") or not tables.exists("quality"):
        return
    parts = tables.rows("select", Selected)
    side_of = {one.source_clip_id: _side(one) for one in parts}
    sides_of = defaultdict[str, set[str]](set)
    for one in parts:
        sides_of[one.person].add(_side(one))
    sides_of.pop("", None)
    people = People(
        persons=len(sides_of),
        clips_without=len({one.source_clip_id for one in parts if not one.person}),
        tolerance=before.tolerance,
        split_by=before.split_by,
        shared=sum(len(some) > 1 for some in sides_of.values()),
        nearest=ComparedFaces(_seen(tables, side_of)).nearest(side_of),
    )
    write_people(data, people)


def _side(one: Selected) -> str:
    return one.split if one.split == TRAIN else HELD_OUT


def _seen(tables: RunTables, clips: Collection[str]) -> list[SeenClip]:
    return [
        SeenClip.of(one.clip_id, one.face_embedding, one.voice_embedding)
        for one in tables.each_kept("quality", Quality, SERIES)
        if one.clip_id in clips
    ]
