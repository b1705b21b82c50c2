"""Persons and groups of quiet clips, which move no talking clip to another group or split.

A quiet clip goes where the talking clips are that its person, its film or its named speaker ties it
to. Ties to talking clips of two splits leave it no honest place: it is not kept.
"""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.identity.components import first_of_component
from pipeline.identity.persons import ComparedFaces, SeenClip
from pipeline.params.curation import SelectParams
from pipeline.selection.decision import Decision


def persons_of_all(
    talking: Sequence[Decision],
    quiet: Sequence[Decision],
    seen: Iterable[SeenClip],
    params: SelectParams,
) -> dict[str, str]:
    """Return the person of every quiet clip, and of the talking ones as these are named already."""
    wanted = {one.clip_id for one in (*talking, *quiet)}
    faces = ComparedFaces([one for one in seen if one.clip_id in wanted])
    found = faces.persons(params.person_tolerance)
    named: dict[str, str] = {}
    for one in sorted(talking, key=lambda one: one.clip_id):
        if one.clip_id in found:
            named.setdefault(found[one.clip_id], one.person)
    return {clip_id: named.get(person) or person for clip_id, person in found.items()}


def place_quiet(
    talking: Sequence[Decision],
    quiet: Sequence[Decision],
    raw_groups: Mapping[str, str],
    persons: Mapping[str, str],
    splits: Mapping[str, str],
) -> None:
    """Give every quiet clip its group, or take its tier away.

    Args:
        talking: with the groups that their splits are drawn by.
        quiet: their `group` is `speaker:<name>` or `source:<video_id>`.
        raw_groups: clip_id -> the same of the talking clips.
        persons: clip_id -> person, of all; empty where splits are drawn by source.
        splits: group of a talking clip -> its split.
    """
    ties = {
        one.clip_id: _ties(one, raw_groups.get(one.clip_id, one.group), persons)
        for one in (*talking, *quiet)
    }
    component = _components(ties)
    groups: dict[int, set[str]] = {}
    for one in talking:
        groups.setdefault(component[one.clip_id], set()).add(one.group)
    names: dict[int, list[str]] = {}
    for clip_id, some in ties.items():
        names.setdefault(component[clip_id], []).extend(some)
    for one in quiet:
        own = component[one.clip_id]
        near = groups.get(own, set())
        if len({splits[group] for group in near}) > 1:
            one.detail, one.tier = f"{one.detail}; tied to clips of two splits", ""
            continue
        one.group = min(near) if near else group_name(names[own])


def group_name(members: Iterable[str]) -> str:
    """Return a name that another film does not change, as far as there is one."""
    kinds = {kind: sorted({n for n in members if n.startswith(kind)}) for kind in _KINDS}
    if kinds["speaker:"]:
        return kinds["speaker:"][0]
    return kinds["source:"][0] if len(kinds["source:"]) == 1 else kinds["person:"][0]


_KINDS = ("speaker:", "source:", "person:")


def _ties(one: Decision, raw_group: str, persons: Mapping[str, str]) -> list[str]:
    ties = [raw_group, f"source:{one.video_id}"]
    return ties + ([f"person:{persons[one.clip_id]}"] if one.clip_id in persons else [])


def _components(ties: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return clip_id -> number of what is tied together."""
    names = sorted({name for some in ties.values() for name in some})
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[first], place[one]) for first, *others in ties.values() for one in others]
    first_of = first_of_component(len(names), pairs)
    return {clip_id: first_of[place[some[0]]] for clip_id, some in ties.items()}
