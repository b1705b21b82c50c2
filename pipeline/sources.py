"""Listing of input files: a folder, a glob, a sources.jsonl or .csv, or an fsspec URL of these.

A source's `uri` is its name in outputs (no host, no absolute folder); its `location` is where
this run reads the bytes. Sources are only ever read.
"""

import csv
import glob
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import fsspec

from pipeline.digest import digest
from pipeline.errors import DISK_ERRORS, SourceError, StorageError, UnreadableError

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv"}
    | {".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".rm", ".rmvb", ".ts", ".vob"}
    | {".webm", ".wmv"}
)
"""A file with one of these that no demuxer opens has failed; any other is rejected as no video."""
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

    Hidden files and folders (names that begin with a dot) are not inputs.

    Raises:
        SourceError: nothing there, nothing readable, or a broken list; says what to change.
    """
    if source.endswith((".jsonl", ".csv")):
        found = _listed(source)
    elif "://" in source:
        found = _below_url(source)
    elif Path(source).is_dir():
        found = list(_below_folder(Path(source)))
    elif Path(source).is_file():
        found = [_file(Path(source).parent, Path(source))]
    else:
        found = _matching(source)
    if not found:
        raise SourceError(f"params.yaml: ingest.source: no file below {source!r}")
    return sorted(found, key=lambda one: one.uri)


def locations(source: str, uris: Iterable[str]) -> dict[str, str]:
    """Return uri -> location of inputs that were listed before.

    Raises:
        SourceError: one of them is not there any more.
    """
    found = {one.uri: one.location for one in list_sources(source)}
    if gone := sorted(set(uris) - found.keys()):
        raise SourceError(f"{gone[0]!r} is no longer below {source!r}; run `dvc repro` from ingest")
    return found


@contextmanager
def local_copy(location: str) -> Iterator[Path]:
    """Give a local path for a location; a remote file is fetched and removed afterwards.

    Raises:
        UnreadableError: the remote file cannot be fetched.
    """
    if "://" not in location:
        yield Path(location)
        return
    with tempfile.TemporaryDirectory(prefix="lipforge-") as folder:
        path = Path(folder) / f"source{PurePosixPath(urlsplit(location).path).suffix[:16]}"
        try:
            fs, name = fsspec.core.url_to_fs(location)
            fs.get_file(name, str(path))
        except OSError as error:
            if error.errno in DISK_ERRORS:
                raise StorageError(f"cannot fetch a source: {error}") from error
            raise UnreadableError(f"cannot be fetched: {error}") from error
        yield path


def fingerprint(location: str) -> str:
    """Return a digest that changes with the file: of size and time, or its server's metadata."""
    try:
        if "://" in location:
            fs, name = fsspec.core.url_to_fs(location)
            return digest([location, str(sorted(fs.info(name).items()))])
        facts = Path(location).stat()
    except OSError as error:
        return digest([location, type(error).__name__])
    return digest([os.fsencode(location).hex(), facts.st_size, facts.st_mtime_ns, facts.st_ino])


def _below_folder(root: Path) -> Iterator[Source]:
    """Walk, following links; a folder that was seen is not entered again (link loops)."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_refuse_folder):
        facts = Path(folder).stat()
        if (facts.st_dev, facts.st_ino) in seen:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield _file(root, Path(folder) / name)


def _refuse_folder(error: OSError) -> None:
    fix = "make it readable or leave it out"
    raise SourceError(f"{error.filename}: cannot list the folder: {error.strerror}; {fix}")


def _file(root: Path, path: Path) -> Source:
    return Source(uri=_printable(path.relative_to(root)), location=str(path.absolute()))


def _printable(path: Path) -> str:
    """Return the path as text; a name that is not UTF-8 is percent-encoded under `bytes:`."""
    text = path.as_posix()
    try:
        text.encode()
    except UnicodeEncodeError:
        return "bytes:" + quote_from_bytes(os.fsencode(path))
    return text


def _matching(pattern: str) -> list[Source]:
    if not glob.has_magic(pattern):
        hint = ""
        if pattern.startswith("data/demo"):
            hint = "; `dvc repro` renders the demo corpus first, or `lipforge demo`"
        raise SourceError(f"params.yaml: ingest.source: {pattern!r} does not exist{hint}")
    plain = pattern[: min(pattern.find(mark) for mark in "*?[" if mark in pattern)]
    root = Path(plain).parent if not plain.endswith("/") else Path(plain)
    paths = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - absolute
    return [_file(root, path) for path in paths if path.is_file()]


def _below_url(url: str) -> list[Source]:
    try:
        fs, root = fsspec.core.url_to_fs(url)
        names = fs.glob(root) if glob.has_magic(root) else fs.find(root)
    except (OSError, ImportError, ValueError) as error:
        raise SourceError(f"params.yaml: ingest.source: {url}: {error}") from error
    base = _plain_folder(root)
    if list(names) == [base]:
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
    try:
        with fsspec.open(source, "rt", encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"params.yaml: ingest.source: {source}: {error}") from error
    records = _csv(text) if source.endswith(".csv") else _jsonl(source, text)
    found = [_entry(source, number, record) for number, record in records]
    if len({one.uri for one in found}) < len(found):
        uris = sorted(one.uri for one in found)
        twice = next(a for a, b in pairwise(uris) if a == b)
        raise SourceError(f"{source}: uri {twice!r} is listed twice; remove one of the lines")
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
    unknown = sorted(str(key) for key in record if key not in ("uri", *LIST_FIELDS))
    if unknown:
        known = ", ".join(("uri", *LIST_FIELDS))
        raise SourceError(f"{source}:{number}: unknown field {unknown[0]!r}; known: {known}")
    uri = str(record.get("uri") or "")
    if not uri:
        raise SourceError(f"{source}:{number}: no `uri`")
    facts = {name: str(record.get(name) or "") for name in LIST_FIELDS}
    return Source(uri=uri, location=_beside(source, uri), **facts)


def _beside(source: str, uri: str) -> str:
    """A uri in a list is a URL, an absolute path, or relative to the list's own folder."""
    if "://" in uri or Path(uri).is_absolute():
        return uri
    if "://" in source:
        return f"{source.rsplit('/', 1)[0]}/{uri}"
    return str((Path(source).parent / uri).absolute())
