"""`takedowns.json` in the project: films that are not to come back. `ingest` honours it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json
from pipeline.errors import ParamsError

LIST = Path("takedowns.json")
VERSION = 1


def taken_down() -> dict[str, dict[str, Any]]:
    """Return SHA-256 of a film -> what is noted of its takedown; empty where there is no list.

    Raises:
        ParamsError: the list is damaged or of another version.
    """
    try:
        content = json.loads(LIST.read_text(encoding="utf-8"))
        known, found = content["version"] == VERSION, dict(content["sources"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise ParamsError(f"{LIST}: no list of takedowns: {error!r}; restore it") from error
    if not known:
        raise ParamsError(f"{LIST}: version {content['version']}; install a newer lipforge")
    return found


def note_taken_down(sources: Iterable[str], noted: dict[str, Any]) -> None:
    """Add films; what is noted of one that is there already stays.

    Raises:
        StorageError: the list cannot be written.
    """
    found = {**dict.fromkeys(sources, noted), **taken_down()}
    write_json(LIST, {"version": VERSION, "sources": found})
