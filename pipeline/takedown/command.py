"""`lipforge takedown`."""

import shlex
import sys
from typing import Annotated

import typer

from pipeline.engine.command import DATA
from pipeline.errors import SourceError
from pipeline.params.curation import load_params
from pipeline.sources import GONE, locations
from pipeline.takedown.places import dvc_commands
from pipeline.takedown.target import find_target
from pipeline.takedown.work import (
    Takedown,
    carry_out,
    completed,
    exclude,
    planned_takedown,
    remains,
    unfinished,
)

SHOWN = 20
"""Names of each kind that are printed."""


def takedown(
    name: Annotated[str, typer.Argument(help="A film's SHA-256, uri or URL; a speaker or person.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts.")] = False,
    date: Annotated[str, typer.Option(help="Noted in takedowns.json as it is.")] = "",
    reason: Annotated[str, typer.Option(help="Noted in takedowns.json as it is.")] = "",
    exclude_only: Annotated[
        bool, typer.Option("--exclude-only", help="Readers leave it out; nothing is removed.")
    ] = False,
) -> None:
    """Take a film, or all films of a person, out of everything; prove that nothing remains."""
    begun = unfinished()
    if begun:
        _say(f"first the takedown of {begun.query!r} is completed, which was begun")
        _finish(begun)
        if begun.query == name:
            return
    target = find_target(name, DATA)
    plan = planned_takedown(name, target, date, reason)
    _show(plan)
    if exclude_only:
        listed = exclude(target)
        _say(f"exclude.json: {len(listed.samples)} samples, {len(listed.sources)} films")
        return
    if not yes and not _agrees():
        raise typer.Exit(1)
    _finish(plan)


def _show(plan: Takedown) -> None:
    target = plan.target
    _listed("film", sorted(target.video_ids))
    _listed("name of it", sorted(target.uris))
    _listed("tar to be written again", sorted(target.shards))
    _say(f"{len(target.samples)} samples, {len(target.clip_ids)} clips and parts in all tables")
    _say(f"{len(plan.entries)} entries of the item cache")
    _say("also rewritten or removed: tables, data card, features, notes, events, reports that")
    _say("show it, what DVC's cache has of it")


def _finish(plan: Takedown) -> None:
    for step in carry_out(plan):
        _say(step)
    films = _films_there(plan)
    found = remains(plan, films)
    _say("searched for the ids of films and clips, and for the SHA-256 of every file made of them:")
    for what, places in found.items():
        _say(f"  {what}: {'nothing' if not places else f'{len(places)} found'}")
        for place in places[:SHOWN]:
            _say(f"    {place if '://' in place else f'rm -- {shlex.quote(place)}'}")
    _say_beyond(films)
    if any(found.values()):
        _say("NOT ABSENT: remove what is named above, then call again")
        raise typer.Exit(1)
    completed()
    _say("absent")


def _say_beyond(films: list[str]) -> None:
    """Say what no search of this project can tell."""
    for place in films:
        _say(f"the film itself is yours: it still lies at {place}; `ingest` refuses it from now on")
    for command in dvc_commands():
        _say(f"a DVC remote may have older outputs: {command}")
    _say("models and other people's copies are not searched: train anew what was trained with it")
    _say("`dvc repro` makes the reports again")


def _films_there(plan: Takedown) -> list[str]:
    try:
        found = locations(load_params().ingest.source, sorted(plan.target.uris))
    except SourceError:
        return []
    return sorted(one for one in found.values() if one != GONE)


def _agrees() -> bool:
    if not sys.stdin.isatty():
        _say("nothing removed: no terminal to ask at; --yes removes without asking")
        return False
    return typer.confirm("Remove all of this?")


def _listed(what: str, names: list[str]) -> None:
    for name in names[:SHOWN]:
        _say(f"{what}: {name}")
    if len(names) > SHOWN:
        _say(f"... and {len(names) - SHOWN} more")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
