"""Files that appear under their name only when whole: a temporary name beside it, then a rename."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import StorageError

ABANDONED_S = 86_400.0
"""A temporary file untouched for so long belongs to a process that was killed."""
MAX_STEM_BYTES = 150
"""Bytes of the file's name in the temporary one: file systems allow 255 in all."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name to write to; it becomes `path` when the block ends without an error.

    Any number of writers may replace one file at once: each has a name of its own, and the last to
    end wins. Bytes reach the disk before the name does.

    Raises:
        StorageError: the disk is full or not writable; nothing is left under either name.
    """
    with _writing(path), whole_file(path) as part:
        yield part


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Do as `replacing`, and let an OSError through as it is: for copies, where reading may fail.

    Raises:
        OSError: of the block, or because the folder is full or not writable.
    """
    stem = path.name.encode()[:MAX_STEM_BYTES].decode(errors="ignore")
    part = path.with_name(f"{stem}.{uuid.uuid4().hex[:12]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent, stem)
        yield part
        _sync(part)
        part.replace(path)
    finally:
        with suppress(OSError):  # as when the parent is a file: the error above says so
            part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it takes the place of `path` when the block has ended.

    After an error, and while the block runs, `path` is as it was. For one writer at a time.

    Raises:
        StorageError: the disk is full or not writable.
    """
    part, old = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.old.part")
    _remove_folders(part, old)
    try:
        with _writing(path):
            part.mkdir(parents=True)
        yield part
        with _writing(path):
            _exchange(path, part, old)
    finally:
        _remove_folders(part, old)


def _exchange(path: Path, part: Path, old: Path) -> None:
    """Put `part` in the place of `path`; `path` is as it was if that fails."""
    if not path.exists():
        part.replace(path)
        return
    path.replace(old)
    try:
        part.replace(path)
    except OSError:
        old.replace(path)
        raise


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error}") from error


def _remove_folders(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, at once.

    Raises:
        StorageError: the disk is full or not writable.
    """
    with replacing(path) as part:
        part.write_bytes(content)


def copy_file(source: Path, path: Path) -> None:
    """Copy the bytes of a file, at once; mode and times are a new file's.

    Raises:
        StorageError: the source cannot be read, or the disk is full or not writable.
    """
    with replacing(path) as part:
        shutil.copyfile(source, part)


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


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files below a folder of which this process is the only writer.

    Elsewhere other writers may be at work: there a file stays until it is abandoned.
    """
    for part in folder.rglob("*.part"):
        if part.is_file():
            part.unlink(missing_ok=True)


def _remove_abandoned(folder: Path, stem: str) -> None:
    for old in _temporary_files(folder.absolute()).pop(stem, ()):
        with suppress(OSError):  # another process was faster
            if time.time() - old.stat().st_mtime > ABANDONED_S:
                old.unlink()


@lru_cache(maxsize=64)
def _temporary_files(folder: Path) -> dict[str, list[Path]]:
    """Return the temporary files that were there at this process' first write, by stem.

    Listing a folder takes longer the more files it has: at every write it would add up.
    """
    found: dict[str, list[Path]] = {}
    for path in folder.glob("*.????????????.part"):
        found.setdefault(path.name.rsplit(".", 2)[0], []).append(path)
    return found


def _sync(part: Path) -> None:
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
