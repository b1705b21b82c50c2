"""One entry of the item cache, wherever it lies: `meta.json`, its own digest, and its files'."""

import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.digest import canonical_json, digest, file_sha256
from pipeline.errors import DamagedCacheError

META = "meta.json"
SEAL = "sha256"
"""Field of meta.json: the digest of all the others."""


def write_meta(stored: Mapping[str, Any], workdir: Path) -> None:
    """Write meta.json for the outcome and the files of a folder."""
    files = {path.name: _facts(path) for path in sorted(workdir.iterdir())}
    content = {**stored, "files": files}
    text = canonical_json({**content, SEAL: digest(content)})
    (workdir / META).write_text(text, encoding="utf-8")


def parsed(meta: bytes) -> dict[str, Any] | None:
    """Return the content of a meta.json; None for one of an old version, which had no digests.

    Raises:
        ValueError: it is not what was written.
    """
    content = json.loads(meta)
    if isinstance(content, dict) and SEAL not in content:
        return None
    if not isinstance(content, dict) or content.pop(SEAL) != digest(content):
        raise ValueError("meta.json does not have its own digest")
    return content


def stage_named(stored: Mapping[str, Any] | None) -> str:
    """Return whose item a stored outcome is; empty if unknown."""
    return str((stored or {}).get("stage", ""))


def say_damaged(what: object) -> None:
    """Warn of a file of an entry that is taken for absent therefore."""
    sys.stderr.write(f"warning: {what}: damaged in the item cache; its item is made again\n")


def _facts(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def check(folder: Path, key: str, name: str) -> None:
    """Compare a file in an entry's folder with what its meta.json says.

    Raises:
        DamagedCacheError: one of them is gone, or the bytes are not those stored.
    """
    try:
        changed_ns = (folder / META).stat().st_mtime_ns
        stored = _files_of(folder, changed_ns)[name]["sha256"]
        facts = (folder / name).stat()
        found = _sha256(folder / name, facts.st_mtime_ns, facts.st_size, facts.st_ino)
    except FileNotFoundError as error:
        raise DamagedCacheError(key, name, "gone") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedCacheError(key, name, "its entry cannot be read") from error
    if found != stored:
        raise DamagedCacheError(key, name, "not the bytes that were stored")


@lru_cache(maxsize=65536)
def _sha256(path: Path, changed_ns: int, size: int, inode: int) -> str:
    """Return a file's digest, computed once per process as long as the file stays untouched."""
    return file_sha256(path)


@lru_cache(maxsize=64)
def _files_of(folder: Path, changed_ns: int) -> dict[str, Any]:
    """Return the facts of an entry's files; the time is there to read a new meta.json anew."""
    stored = parsed((folder / META).read_bytes()) or {}
    files: dict[str, Any] = stored["files"]
    return files
