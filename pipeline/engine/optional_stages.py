"""Stages that are off until somebody wants them: `dvc repro NAME`, or `run: always` in params.yaml.

DVC runs every stage of dvc.yaml and has no switch for one. So each optional stage has
`data/again/<stage>.json` among its `deps`, and `ingest`, which begins every `dvc repro`, writes
there whether the stage was named on DVC's command line, itself or through one that needs it. Once
named it stays on, so that a model never lags behind its data; without the file it is off again. A
stage that is off leaves `untrained.json` in place of a model.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

import psutil

from pipeline.atomic import replacing_folder, write_json
from pipeline.engine.again import AGAIN

NEEDS: Mapping[str, tuple[str, ...]] = {
    "avsyncnet": (),
    "silent_lip": ("avsyncnet",),
    "stabilized": ("avsyncnet", "silent_lip"),
    "syncdiff": (),
}
"""Every optional stage, and the optional stages whose outputs it reads."""
NAMED = "named"
ALWAYS = "always"
UNTRAINED = "untrained.json"
_COMMANDS = (("repro",), ("exp", "run"), ("experiments", "run"))
_WITH_VALUE = {"--cd", "-n", "--name", "-S", "--set-param", "-j", "--jobs", "-C", "--copy-paths"}
_WITH_VALUE |= {"-m", "--message"}
"""Options of DVC and of these commands behind which a value stands, which is no target."""

logger = logging.getLogger(__name__)


def note_named(command_lines: Iterable[Sequence[str]] | None = None) -> None:
    """Write for every optional stage whether it has been named, now or before.

    Args:
        command_lines: of the processes that may be DVC's; None: those that started this one.
    """
    lines = _ancestors() if command_lines is None else command_lines
    named = {name for line in lines for name in named_stages(line)}
    on = with_needed(named | {stage for stage in NEEDS if _was_named(stage)})
    for stage in NEEDS:
        write_json(AGAIN / f"{stage}.json", {NAMED: True} if stage in on else {})


def named_stages(command_line: Sequence[str]) -> set[str]:
    """Return the optional stages that `dvc repro` or `dvc exp run` was given, by pattern too."""
    words = [word.rpartition(":")[2] for word in _arguments(command_line)]
    return {stage for stage in NEEDS if any(fnmatchcase(stage, word) for word in words)}


def with_needed(stages: Iterable[str]) -> set[str]:
    """Return the stages and all optional ones that they need."""
    wanted = set(stages)
    return wanted | {needed for stage in wanted for needed in NEEDS[stage]}


def is_wanted(stage: str, run: Mapping[str, str]) -> bool:
    """Return whether a stage is to do its work.

    Args:
        run: `run` of every optional stage in params.yaml, `when_named` or `always`, by stage.
    """
    always = with_needed(name for name, when in run.items() if when == ALWAYS)
    return stage in always or _was_named(stage)


def leave_untrained(stage: str, model: Path, report: Path) -> None:
    """Write what a stage that is off leaves: a folder without a model, a report that says so."""
    why = {"trained": False, "fix": f"`dvc repro {stage}` trains it (params.yaml: {stage})"}
    logger.info("%s: off, nothing is trained; %s", stage, why["fix"])
    with replacing_folder(model) as folder:
        write_json(folder / UNTRAINED, why)
    write_json(report, why)


def _arguments(command_line: Sequence[str]) -> Sequence[str]:
    """Return the targets of `dvc repro`; nothing if this is another command."""
    words = list(command_line)
    for place, word in enumerate(words):
        if PurePath(word).stem == "dvc":
            rest = _without_options(words[place + 1 :])
            return next((rest[len(c) :] for c in _COMMANDS if tuple(rest[: len(c)]) == c), ())
    return ()


def _without_options(words: Sequence[str]) -> list[str]:
    """Return command and targets: what is neither an option nor an option's value."""
    before = ("", *words)
    pairs = zip(before, words, strict=False)
    return [word for last, word in pairs if word[:1] != "-" and last not in _WITH_VALUE]


def _ancestors() -> list[list[str]]:
    found = []
    for process in psutil.Process().parents():
        try:
            found.append(process.cmdline())
        except psutil.Error:  # it has ended, or is another user's
            continue
    return found


def _was_named(stage: str) -> bool:
    try:
        content = json.loads((AGAIN / f"{stage}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get(NAMED) is True
