"""`lipforge judge`: which files, which judge, one run, three ways to tell the result."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from rich.console import Console

from pipeline.atomic import write_json
from pipeline.command import run_stage
from pipeline.errors import ParamsError, SourceError, WeightsError
from pipeline.judge.choice import choose
from pipeline.judge.judge_report import (
    as_json,
    as_table,
    require_matplotlib,
    summary_lines,
    write_plots,
)
from pipeline.judge.video_judge import VideoJudge, VideoToJudge
from pipeline.outcome import Outcome
from pipeline.params import SyncParams
from pipeline.sources import Source, list_sources

LOG_WIDTH = 160
"""Columns of the table where nobody's terminal sets a width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """The options of the command, checked by typer."""

    sync: SyncParams
    min_seconds: float
    cropped: bool = False
    """The videos are SyncNet's crops already, as its own demo wants them."""
    json: Path | None = None
    plot: Path | None = None


def judge_videos(arguments: Sequence[str], options: JudgeOptions) -> bool:
    """Judge every file, print the table, write what was asked for.

    Returns:
        True when no file failed.

    Raises:
        SourceError: an argument names nothing.
        WeightsError: a model file is absent or altered.
        ParamsError: drawings are wanted and matplotlib is not there, or options do not fit.
        StorageError: JSON or drawings cannot be written.
    """
    if options.plot is not None:
        require_matplotlib()
    if options.cropped and options.sync.judge != "syncnet":
        raise ParamsError("--cropped is for SyncNet's crops: use it with --judge syncnet")
    videos, choice = videos_of(arguments), choose(options.sync)
    if options.cropped and choice.fallback:
        raise WeightsError("--cropped needs SyncNet, and its weights are not available")
    stage = VideoJudge(choice, options.min_seconds, options.cropped)
    outcomes = run_stage(stage, videos)
    _tell(outcomes, options)
    return not any(one.status in ("failed", "quarantined") for one in outcomes)


def _tell(outcomes: Sequence[Outcome], options: JudgeOptions) -> None:
    console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
    console.print(as_table(outcomes))
    for line in summary_lines(outcomes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        write_json(options.json, as_json(outcomes))
    if options.plot is not None:
        drawn = write_plots(outcomes, options.plot)
        console.print(f"{drawn} drawings in {options.plot}", markup=False, highlight=False)


def videos_of(arguments: Iterable[str]) -> list[VideoToJudge]:
    """List every file behind the arguments once, named as the user would name it.

    Raises:
        SourceError: an argument names no file, or a list is broken.
    """
    found: dict[str, VideoToJudge] = {}
    for argument in arguments:
        for source in _listed(argument):
            name = _name(argument, source)
            found.setdefault(name, VideoToJudge(name, source.location))
    return list(found.values())


def _listed(argument: str) -> list[Source]:
    try:
        return list_sources(argument)
    except SourceError as error:  # it speaks of the parameter that other commands take this from
        raise SourceError(str(error).removeprefix("params.yaml: ingest.source: ")) from error


def _name(argument: str, source: Source) -> str:
    if "://" in source.location:
        return source.location
    if argument.endswith((".jsonl", ".csv")):
        return source.uri
    plain = argument if Path(argument).exists() else argument[: _first_wildcard(argument)]
    folder = plain if Path(plain).is_dir() and not Path(plain).is_file() else _parent(plain)
    return os.fsencode(str(PurePath(folder) / source.uri)).decode("utf-8", "backslashreplace")


def _first_wildcard(pattern: str) -> int:
    return min((pattern.find(mark) for mark in "*?[" if mark in pattern), default=len(pattern))


def _parent(plain: str) -> str:
    return plain if plain.endswith("/") else str(PurePath(plain).parent)
