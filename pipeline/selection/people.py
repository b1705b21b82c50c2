"""Persons of the selected clips, and the groups that a split must not tear: by person, then source.

A group is all clips that are tied by a person, a source file or a speaker whom the source list
names. So neither a person nor a film is on two sides, also where two people share a film.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from pipeline.identity.components import first_of_component
from pipeline.identity.persons import ComparedFaces, SeenClip
from pipeline.params.curation import SelectParams
from pipeline.selection.decision import Decision
from pipeline.selection.quiet_groups import group_name, persons_of_all, place_quiet
from pipeline.selection.rules import split_of
from pipeline.tables.people_facts import People

HELD_OUT = "held out"


def divide(judged: Sequence[Decision], seen: Iterable[SeenClip], params: SelectParams) -> People:
    """Give every selected part its person, and its group where it is divided by person.

    Quiet clips follow, as far as there is a place for them (`pipeline.selection.quiet_groups`).

    Args:
        judged: `person` and `group` of the selected and the quiet ones are set.
        seen: the embeddings of all clips.
    """
    kept = [one for one in judged if not one.reason]
    seen, raw_groups = list(seen), {one.clip_id: one.group for one in kept}
    wanted = {one.clip_id for one in kept}
    faces = ComparedFaces([one for one in seen if one.clip_id in wanted])
    firsts = faces.persons(params.person_tolerance)
    persons = {clip: person_name(first) for clip, first in firsts.items()}
    by_person = groups(kept, persons)
    split_by = chosen_way(by_person, params)
    for one in kept:
        one.person = persons.get(one.clip_id, "")
        one.group = by_person[one.clip_id] if split_by == "person" else one.group
    quiet = [one for one in judged if one.reason and one.tier]
    if quiet:
        by_face = persons_of_all(kept, quiet, seen, params)
        tied_by = by_face if split_by == "person" else {}
        splits = {one.group: split_of(one.group, params) for one in kept}
        place_quiet(kept, quiet, raw_groups, tied_by, splits)
        for one in quiet:
            one.person = by_face.get(one.clip_id, "") if one.tier else ""
    sides = {one.clip_id: _side(split_of(one.group, params)) for one in kept}
    return People(
        persons=len(set(persons.values())),
        clips_without=len(wanted) - len(persons),
        tolerance=params.person_tolerance,
        split_by=split_by,
        shared=_shared(persons, sides),
        nearest=faces.nearest(sides),
    )


def person_name(first_clip: str) -> str:
    """Return what a person is called: a hash of the clip_id of his first clip.

    Not the clip_id itself: when its film is taken down, the other films' samples must not name it.
    """
    return hashlib.sha256(f"person|{first_clip}".encode()).hexdigest()[:20]


def groups(kept: Sequence[Decision], persons: Mapping[str, str]) -> dict[str, str]:
    """Return the group of every clip; a group of one source keeps the source's or speaker's name.

    Args:
        kept: their `group` is `speaker:<name>` or `source:<video_id>`.
        persons: clip_id -> person.
    """
    ties = {one.clip_id: _ties(one, persons) for one in kept}
    names = sorted({name for some in ties.values() for name in some})
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[first], place[one]) for first, *others in ties.values() for one in others]
    root_of = dict(zip(names, first_of_component(len(names), pairs), strict=True))
    members: dict[int, list[str]] = {}
    for name, root in root_of.items():
        members.setdefault(root, []).append(name)
    called = {root: group_name(some) for root, some in members.items()}
    return {clip: called[root_of[some[0]]] for clip, some in ties.items()}


def chosen_way(by_person: Mapping[str, str], params: SelectParams) -> str:
    """Return by what the splits are drawn: `auto` takes persons if they fill every split."""
    if params.split_by != "auto":
        return params.split_by
    shares = {"train": 1.0, "val": params.val_share, "test": params.test_share}
    filled = {split_of(group, params) for group in set(by_person.values())}
    return "person" if {name for name, share in shares.items() if share} <= filled else "source"


def _ties(one: Decision, persons: Mapping[str, str]) -> list[str]:
    ties = [one.group, f"source:{one.video_id}"]
    return ties + ([f"person:{persons[one.clip_id]}"] if one.clip_id in persons else [])


def _side(split: str) -> str:
    return split if split == "train" else HELD_OUT


def _shared(persons: Mapping[str, str], sides: Mapping[str, str]) -> int:
    of_person: dict[str, set[str]] = {}
    for clip, person in persons.items():
        of_person.setdefault(person, set()).add(sides[clip])
    return sum(len(some) > 1 for some in of_person.values())
