"""What the next `dvc repro` must do again although no file has changed: `data/again/<stage>.json`.

DVC takes a stage whose command exits with 0 for done. A stage that could not finish some items for
a fault of the moment leaves their names in its file, which is one of its `deps`: DVC records it
with them. `ingest`, which runs at every `dvc repro`, empties the file: now DVC sees a change and
runs the stage, and all but the unfinished items come from the item cache. After a run that finished
everything the file is empty, so nothing runs twice, and DVC's run cache never gives back the tables
of an incomplete run for those of a complete one.

A stage that finds a damaged item of another one asks for that stage in the same way.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json
from pipeline.params.environment import environment

AGAIN = Path("data/again")
STAGES = ("scenes", "faces", "sync", "stretches", "quality", "shards", "features")
"""Every stage of items but `ingest`, which always runs."""
UNFINISHED, ASKED = "unfinished", "asked"


def note_unfinished(stage: str, unfinished: Mapping[str, str]) -> None:
    """Say at a stage's end which items (name -> reason) it could not finish; none: it is done."""
    if stage in STAGES:
        _write(stage, {UNFINISHED: dict(unfinished)} if unfinished else {})


def note_more_unfinished(stage: str, unfinished: Mapping[str, str]) -> None:
    """Add items of a second kind that the same command makes."""
    if unfinished:
        noted = _read(stage)
        _write(stage, {**noted, UNFINISHED: {**noted.get(UNFINISHED, {}), **unfinished}})


def ask_for(stages: Iterable[str], why: Iterable[str]) -> None:
    """Make the next `dvc repro` run these stages."""
    for stage in stages:
        asked = {**_read(stage), ASKED: sorted({*_read(stage).get(ASKED, ()), *why})}
        _write(stage, asked)


def begin() -> None:
    """Let DVC see what is to be done again; `ingest` calls this before anything else.

    That is what was left unfinished, what was asked for, and every stage under LIPFORGE_RETRY.
    """
    for stage in STAGES:
        _write(stage, {name: value for name, value in _read(stage).items() if name == ASKED})
    if retry := environment().retry:
        ask_for(STAGES, [f"LIPFORGE_RETRY={reason}" for reason in retry])


def _read(stage: str) -> dict[str, Any]:
    try:
        content = json.loads((AGAIN / f"{stage}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(stage: str, content: Mapping[str, Any]) -> None:
    write_json(AGAIN / f"{stage}.json", content)
