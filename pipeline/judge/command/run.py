"""`lipforge judge`: lists the files, chooses the judge, runs the stage, writes the results."""

import os
import sys
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePath
from typing import Any, Literal

from rich.console import Console

from pipeline.atomic import write_json
from pipeline.engine.command import plan, run_stage
from pipeline.engine.outcome import Outcome
from pipeline.engine.roots import needing
from pipeline.errors import ParamsError, SourceError
from pipeline.judge.choice import choose
from pipeline.judge.command.output import (
    as_json,
    as_table,
    require_matplotlib,
    summary_lines,
    write_plots,
)
from pipeline.judge.command.stage import NamedVideo, VideoJudge
from pipeline.params.curation import SyncParams
from pipeline.remote import public_url
from pipeline.sources import Source, list_sources

LOG_WIDTH = 160
"""Columns of the table when stdout is no terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """The options of the command, checked by typer."""

    sync: SyncParams
    min_seconds: float
    cropped: bool = False
    """The videos are SyncNet's crops already, as its own demo expects them."""
    json: Path | None = None
    plot: Path | None = None


def sync_params(by: Literal["landmark", "syncnet"], **given: str | None) -> SyncParams:
    """Return the judge's parameters from the options of the command; None: not given.

    Args:
        given: `weights`, `mode` and `precision`, which only SyncNet has.

    Raises:
        ParamsError: one of them is given for the landmark judge.
    """
    own: dict[str, Any] = {f"syncnet_{name}": one for name, one in given.items() if one is not None}
    if own and by == "landmark":
        option = "--" + next(iter(own)).removeprefix("syncnet_")
        raise ParamsError(
            f"{option} is an option of SyncNet's, and --judge landmark makes no use of it: "
            "add --judge syncnet, or leave it out"
        )
    return SyncParams(judge=by, **own)


def judge_videos(arguments: Sequence[str], options: JudgeOptions) -> bool:
    """Score every file, print the table, write the JSON and the plots.

    Returns:
        True when no file failed.

    Raises:
        SourceError: an argument names no file.
        WeightsError: a model file is absent or altered.
        ParamsError: plots are requested without matplotlib, or options contradict each other.
        StorageError: JSON or plots cannot be written.
    """
    if options.plot is not None:
        require_matplotlib()
    if options.cropped and options.sync.judge != "syncnet":
        raise ParamsError("--cropped is for SyncNet's crops: use it with --judge syncnet")
    videos, choice = list_videos(arguments), choose(options.sync)
    stage = VideoJudge(choice, options.min_seconds, options.cropped)
    with needing(stage.name, [one.key for one in plan(stage, videos)]):
        outcomes = run_stage(stage, videos)
    _write_results(outcomes, options)
    return not any(one.status in ("failed", "quarantined") for one in outcomes)


def _write_results(outcomes: Sequence[Outcome], options: JudgeOptions) -> None:
    console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
    console.print(as_table(outcomes))
    for line in summary_lines(outcomes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        write_json(options.json, as_json(outcomes))
    if options.plot is not None:
        drawn = write_plots(outcomes, options.plot)
        console.print(f"{drawn} drawings in {options.plot}", markup=False, highlight=False)


def list_videos(arguments: Iterable[str]) -> list[NamedVideo]:
    """List every file of the arguments once, under the user's name for it.

    A file reached by several arguments or links keeps its first name. Where escaped characters give
    two files one name, the later ones are numbered.

    Raises:
        SourceError: an argument names no file, or a list is broken.
    """
    names: set[str] = set()
    found: dict[str, NamedVideo] = {}
    for argument in arguments:
        for source in _listed(argument):
            location = _canonical(source.location)
            if location not in found:
                name = _unused(_name(argument, source), names)
                names.add(name)
                found[location] = NamedVideo(name, source.location)
    return list(found.values())


def _canonical(location: str) -> str:
    """Return one spelling for all paths to the same file."""
    local = location.removeprefix("file://")
    return location if "://" in local else os.path.realpath(local)


def _unused(name: str, used: Container[str]) -> str:
    numbered = chain([name], (f"{name} ({number})" for number in count(2)))
    return next(one for one in numbered if one not in used)


def _listed(argument: str) -> list[Source]:
    try:
        return list_sources(argument)
    except SourceError as error:  # its text names the parameter that other commands read
        raise SourceError(str(error).removeprefix("params.yaml: ingest.source: ")) from error


def _name(argument: str, source: Source) -> str:
    if "://" in source.location:
        return public_url(source.location)
    if argument.endswith((".jsonl", ".csv")):
        return str(PurePath(argument).parent / source.uri)
    plain = argument if Path(argument).exists() else argument[: _first_wildcard(argument)]
    folder = plain if Path(plain).is_dir() and not Path(plain).is_file() else _parent(plain)
    return os.fsencode(str(PurePath(folder) / source.uri)).decode("utf-8", "backslashreplace")


def _first_wildcard(pattern: str) -> int:
    return min((pattern.find(mark) for mark in "*?[" if mark in pattern), default=len(pattern))


def _parent(plain: str) -> str:
    return plain if plain.endswith("/") else str(PurePath(plain).parent)
