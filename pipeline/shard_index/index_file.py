"""`index.json` of the shards: its version, and what becomes of one of another version.

1   no `format_version`; fps, sample rate, shards, splits.
2   `format_version`. The rest is as in 1, so every reader of 1 reads 2.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError, UnreadableError
from pipeline.remote import FETCH_ATTEMPTS, file_system, patiently

INDEX = "index.json"
FORMAT_VERSION = 2
"""Of what is written now. Raise it with every change that a reader must know of, and add the step
to `_STEPS`."""
FIRST_VERSION = 1
"""Of an index that names none."""
TAR_NAME = re.compile(r"\w[\w-]*/\w[\w.-]*\.tar")
SPLIT = re.compile(r"\w[\w-]*")
"""What an index of somebody else may name: nothing outside of its folder, nor of what is made of
it."""


def version_of_index(content: Mapping[str, Any]) -> Any:
    """Return the version that an index names."""
    return content.get("format_version", FIRST_VERSION)


def parsed_index(text: str | bytes, where: str) -> dict[str, Any]:
    """Return the content of an index.json of any known version.

    Args:
        where: its path or URL, for messages.

    Raises:
        ManifestError: it is no index, or one of a later version.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: not JSON: {error}; fetch or make it again") from error
    return checked_index(content, where)


def checked_index(content: Any, where: str) -> dict[str, Any]:
    """Return an index that was read.

    Raises:
        ManifestError: as `parsed_index`.
    """
    if not isinstance(content, dict) or not isinstance(content.get("shards"), list):
        raise ManifestError(f"{where}: names no `shards`; it is no index of shards")
    version = version_of_index(content)
    if type(version) is not int or not FIRST_VERSION <= version <= FORMAT_VERSION:
        newer = type(version) is int and version > FORMAT_VERSION
        fix = "install a newer lipforge" if newer else "make the shards again"
        known = f"{FIRST_VERSION} to {FORMAT_VERSION}"
        raise ManifestError(
            f"{where}: format_version {version!r}; this lipforge reads {known}; {fix}"
        )
    for entry in content["shards"]:
        _check_entry(entry, where)
    return content


def _check_entry(entry: Any, where: str) -> None:
    """Refuse what is no shard: a reader joins its name and split to paths of its own.

    Raises:
        ManifestError: see above.
    """
    if not isinstance(entry, Mapping):
        raise ManifestError(f"{where}: a shard is {entry!r:.60}, no object; make the shards again")
    wanted = {"name": TAR_NAME, "split": SPLIT} if "split" in entry else {"name": TAR_NAME}
    for key, pattern in wanted.items():
        value = entry.get(key)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            what = "SPLIT/NAME.tar" if key == "name" else "a word"
            raise ManifestError(f"{where}: a shard whose `{key}` is {value!r:.60}, not {what}")


def read_index(shards: str) -> dict[str, Any]:
    """Read the index of a folder or URL of shards.

    Raises:
        ManifestError: there is none; and as `parsed_index`.
        UnreadableError: the server refuses.
    """
    where = f"{shards.rstrip('/')}/{INDEX}"
    text = bytes_at(where)
    if text is None:
        raise ManifestError(
            f"{where}: absent or not readable; name a folder or URL of shards with its {INDEX}"
        )
    return parsed_index(text, where)


def migrated(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a known index as the present version writes it."""
    made = dict(content)
    for version in range(version_of_index(content), FORMAT_VERSION):
        made = _STEPS[version](made)
    return made


def _to_2(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "format_version": 2}


_STEPS = {1: _to_2}
"""Version -> what makes the next one of it."""


def bytes_at(where: str) -> bytes | None:
    """Return the content of a path or URL; None where there is no such file.

    An object store that may not be listed refuses what is absent (403): that is None, too.

    Raises:
        UnreadableError: the operating system or the server refuses.
    """
    if "://" not in where:
        try:
            return Path(where).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnreadableError(f"{where}: cannot be read: {error.strerror}") from error
    fs, path = file_system(where)

    def once() -> bytes | None:
        try:
            content: bytes = fs.cat_file(path)
        except (FileNotFoundError, PermissionError):
            return None
        return content

    return patiently(once, "cannot be read", FETCH_ATTEMPTS)
