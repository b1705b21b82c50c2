"""Files that appear under their name only when whole: temporary name, then rename."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import StorageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name to write to; it becomes `path` when the block ends without an error.

    Raises:
        StorageError: the disk is full or not writable; nothing is left under either name.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error}") from error
    finally:
        with suppress(OSError):  # as when the parent is a file: the error above says so
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text, at once.

    Raises:
        StorageError: the disk is full or not writable.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with sorted keys, for people and for git diffs, at once.

    Raises:
        StorageError: the disk is full or not writable.
    """
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
