"""Listing of input files: a folder, a glob, a sources.jsonl or .csv, or an fsspec URL of these.

A source's `uri` is its name in outputs (no host, no absolute folder); its `location` is where
this run reads the bytes. Sources are only ever read.
"""

import csv
import glob
import io
import json
import os
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

from pipeline.digest import digest
from pipeline.errors import (
    MediaError,
    NotRegularFileError,
    SourceError,
    StorageError,
    UnreadableError,
)
from pipeline.faults import without_secrets
from pipeline.local_copies import open_copies
from pipeline.params.environment import environment
from pipeline.remote import (
    FETCH_ATTEMPTS,
    HTTP,
    facts_of,
    fetch,
    file_system,
    patiently,
    public_url,
    version_of,
)
from pipeline.scratch import local_scratch, scratch_folder

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv"}
    | {".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".rm", ".rmvb", ".ts", ".vob"}
    | {".webm", ".wmv"}
)
"""A file with one of these that no demuxer opens has failed; any other is rejected as no video."""
LISTS = (".jsonl", ".csv")
GONE = "gone:"
"""Location of an input that was listed before and is there no more."""
LIST_FIELDS = ("licence", "speaker", "language", "url")
"""Columns of a list besides `uri`; others are refused, so that a misspelt one is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input file before it was opened."""

    uri: str
    location: str
    licence: str = ""
    speaker: str = ""
    language: str = ""
    url: str = ""


def has_video_suffix(name: str) -> bool:
    """Return whether a file's name says that it is a video."""
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def list_sources(source: str) -> list[Source]:
    """List every input below `source`, sorted by uri.

    Hidden files and folders (names that begin with a dot) are not inputs. A folder that cannot be
    listed is an input, which fails.

    Raises:
        SourceError: nothing there, nothing readable, or a broken list; says what to change.
    """
    if _plain(source).endswith(LISTS):
        found = _listed(source)
    elif "://" in source:
        found = _below_url(source)
    elif Path(source).is_dir():
        found = list(_below_folder(Path(source)))
    elif os.path.lexists(source):
        found = [_file(Path(source).parent, Path(source))]
    else:
        found = _matching(source)
    if not found:
        raise SourceError(f"params.yaml: ingest.source: no file below {public_url(source)!r}")
    return sorted(found, key=lambda one: one.uri)


def locations(source: str, uris: Iterable[str]) -> dict[str, str]:
    """Return uri -> location of inputs that were listed before; GONE for one that is not there.

    With LIPFORGE_SOURCE=absent all are gone, and nothing is listed.

    Raises:
        SourceError: as `list_sources`.
    """
    here = [] if environment().source == "absent" else list_sources(source)
    found = {one.uri: one.location for one in here}
    return {uri: found.get(uri, GONE) for uri in uris}


@contextmanager
def local_copy(location: str) -> Iterator[Path]:
    """Give a local path for a location; a remote file is fetched, at most once per machine.

    The copy is kept for whoever wants it next (`pipeline.local_copies`), unless the server gives
    nothing by which to know whether the file has changed: then it is removed afterwards.
    Any reader can open the path: a name that is not UTF-8 is reached by a link with a plain one.
    A fault of the block becomes an UnreadableError if the file was changed or taken away meanwhile.

    Raises:
        UnreadableError: the file is gone or cannot be read, or a remote one cannot be fetched.
        NotRegularFileError: a pipe, a socket, a device or a folder; it is never opened.
        StorageError: no room for the copy.
    """
    location = location.removeprefix("file://")
    if "://" in location:
        with _fetched(location) as path:
            yield path
        return
    with scratch_folder(local_scratch()) as folder:
        before = _regular_file(location)
        try:
            yield _readable_name(Path(location), folder)
        except MediaError as error:
            if _state(_regular_file(location)) != _state(before):
                raise UnreadableError("the file was changed while it was read") from error
            raise


@contextmanager
def _fetched(url: str) -> Iterator[Path]:
    suffix = PurePosixPath(urlsplit(url).path).suffix[:16]
    version, size_bytes = version_of(url)
    if version:
        with open_copies().held(
            f"films/{version}{suffix}", partial(fetch, url), size_bytes
        ) as path:
            yield path
        return
    with scratch_folder(local_scratch()) as folder:
        path = folder / f"source{suffix}"
        fetch(url, path)
        yield path


def fingerprint(location: str) -> str:
    """Return a digest that changes with the file: of size and time, or its server's metadata.

    That of a file which cannot be looked up is new every time, so that nothing is taken for known.
    """
    location = location.removeprefix("file://")
    try:
        if "://" in location:
            return digest(facts_of(location))
        facts = Path(location).stat()
    except UnreadableError:
        return uuid.uuid4().hex
    except OSError as error:
        return digest([os.fsencode(location).hex(), type(error).__name__])
    return digest([os.fsencode(location).hex(), facts.st_size, facts.st_mtime_ns, facts.st_ino])


def _plain(source: str) -> str:
    """Return the address without its query, whatever may read it."""
    return source.partition("?")[0] if source.startswith(HTTP) else source


def _regular_file(location: str) -> os.stat_result:
    if location == GONE:
        raise UnreadableError("the file is no longer below the source")
    path = Path(location)
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            with os.scandir(path):
                raise NotRegularFileError("a folder")
        if not stat.S_ISREG(facts.st_mode):
            raise NotRegularFileError(f"a {_KINDS.get(stat.S_IFMT(facts.st_mode), 'special file')}")
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        fix = "check its permissions and that the disk is there"
        raise UnreadableError(f"cannot be read: {error.strerror}; {fix}") from error
    return facts


_KINDS = {
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def _state(facts: os.stat_result) -> tuple[int, int, int]:
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def _readable_name(path: Path, folder: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        link = folder / f"source{path.suffix if path.suffix.isascii() else ''}"
        link.symlink_to(path.absolute())
        return link
    return path


def _below_folder(root: Path) -> Iterator[Source]:
    """Walk, following links; a folder that was seen is not entered again (link loops)."""
    seen: set[tuple[int, int]] = set()
    refused: list[OSError] = []
    for folder, folders, files in os.walk(root, followlinks=True, onerror=refused.append):
        facts = Path(folder).stat()
        if (facts.st_dev, facts.st_ino) in seen:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield _file(root, Path(folder) / name)
    for error in refused:
        if Path(error.filename) == root:
            fix = "make it readable or leave it out"
            raise SourceError(f"{root}: cannot list the folder: {error.strerror}; {fix}")
        yield _file(root, Path(error.filename))


def _file(root: Path, path: Path) -> Source:
    return Source(uri=_printable(path.relative_to(root)), location=str(path.absolute()))


def _printable(path: Path) -> str:
    """Return the path as text; a name that is not UTF-8 is percent-encoded under `bytes:`."""
    text = path.as_posix()
    try:
        text.encode()
    except UnicodeEncodeError:
        return "bytes:" + quote_from_bytes(os.fsencode(path))
    return "bytes:" + quote_from_bytes(text.encode()) if text.startswith("bytes:") else text


def _matching(pattern: str) -> list[Source]:
    if not glob.has_magic(pattern):
        hint = ""
        if pattern.startswith("data/demo"):
            hint = "; `dvc repro` renders the demo corpus first, or `lipforge demo`"
        raise SourceError(f"params.yaml: ingest.source: {pattern!r} does not exist{hint}")
    plain = pattern[: min(pattern.find(mark) for mark in "*?[" if mark in pattern)]
    root = Path(plain).parent if not plain.endswith("/") else Path(plain)
    paths = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - absolute
    return [_file(root, path) for path in paths if not os.path.isdir(path)]  # noqa: PTH112 - EACCES


def _below_url(url: str) -> list[Source]:
    if url.startswith(HTTP) and has_video_suffix(_plain(url)):
        return [Source(uri=PurePosixPath(urlsplit(url).path).name, location=url)]
    try:
        return patiently(lambda: _names_below(url), "cannot be listed", FETCH_ATTEMPTS)
    except (UnreadableError, StorageError) as error:
        raise SourceError(f"params.yaml: ingest.source: {public_url(url)}: {error}") from error


def _names_below(url: str) -> list[Source]:
    fs, root = file_system(url)
    pattern = glob.has_magic(root) and not fs.isfile(root)
    found = fs.glob(root) if pattern else fs.find(root)
    names = [name for name in found if not name.endswith("/")]  # else an empty folder's marker
    base = _plain_folder(root) if pattern else root.rstrip("/")
    if names == [base]:
        base = base.rsplit("/", 1)[0]
    uris = {name[len(base) :].lstrip("/"): fs.unstrip_protocol(name) for name in names}
    return [
        Source(uri=uri, location=location)
        for uri, location in uris.items()
        if not any(part.startswith(".") for part in uri.split("/"))
    ]


def _plain_folder(pattern: str) -> str:
    """Return the part of a pattern before its first wildcard, up to the last slash."""
    marks = [pattern.find(mark) for mark in "*?[" if mark in pattern]
    return pattern[: min(marks)].rsplit("/", 1)[0] if marks else pattern.rstrip("/")


def _listed(source: str) -> list[Source]:
    shown = public_url(source)
    try:
        with local_copy(source) as path:
            text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, MediaError) as error:
        said = without_secrets(str(error))
        raise SourceError(f"params.yaml: ingest.source: {shown}: {said}") from error
    records = _csv(text) if _plain(source).endswith(".csv") else _jsonl(shown, text)
    found = [_entry(source, number, record) for number, record in records]
    if len({one.uri for one in found}) < len(found):
        uris = sorted(one.uri for one in found)
        twice = next(a for a, b in pairwise(uris) if a == b)
        raise SourceError(f"{shown}: uri {twice!r} is listed twice; remove one of the lines")
    return found


def _csv(text: str) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    return [(reader.line_num, dict(record)) for record in reader]


def _jsonl(source: str, text: str) -> list[tuple[int, dict[str, Any]]]:
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise SourceError(f"{source}:{number}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise SourceError(f"{source}:{number}: must be an object with a `uri`")
        records.append((number, record))
    return records


def _entry(source: str, number: int, record: Mapping[str, Any]) -> Source:
    line = f"{public_url(source)}:{number}"
    unknown = sorted(str(key) for key in record if key not in ("uri", *LIST_FIELDS))
    if unknown:
        known = ", ".join(("uri", *LIST_FIELDS))
        raise SourceError(f"{line}: unknown field {unknown[0]!r}; known: {known}")
    uri = str(record.get("uri") or "")
    if not uri:
        raise SourceError(f"{line}: no `uri`")
    facts = {name: str(record.get(name) or "") for name in LIST_FIELDS}
    facts["url"] = public_url(facts["url"])
    return Source(uri=public_url(uri), location=_beside(source, uri), **facts)


def _beside(source: str, uri: str) -> str:
    """A uri in a list is a URL, an absolute path, or relative to the list's own folder."""
    if "://" in uri or Path(uri).is_absolute():
        return uri
    if "://" in source:
        return f"{_plain(source).rsplit('/', 1)[0]}/{uri}"
    return str((Path(source).parent / uri).absolute())
