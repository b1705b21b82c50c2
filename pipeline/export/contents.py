"""The clips of finished shards: listed from the JSON members, read one at a time.

`index.json` says which tars belong to the data set. Every tar is compared with its SHA-256 there.
"""

import json
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.digest import file_sha256
from pipeline.errors import ManifestError, MediaError, UnreadableError
from pipeline.export.errors import ExportError
from pipeline.remote import public_url
from pipeline.shard_index.exclusion import Exclusion, exclusion_beside
from pipeline.shard_index.index_file import INDEX, bytes_at, parsed_index, read_index
from pipeline.shard_index.quiet import QUIET, is_quiet
from pipeline.shard_index.tar_end import ends_whole
from pipeline.shards.place import tar_place
from pipeline.shards.tar import MEMBERS
from pipeline.sources import local_copy

SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
"""Characters that a clip's name may have: it becomes a file name, a word of a list, a JSON key."""


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One tar of the data set."""

    name: str
    """As in index.json: `train/train-0002-000.tar`."""
    split: str
    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """What is known of a clip before anything is written."""

    clip_id: str
    split: str
    shard: str
    num_frames: int
    """At 25 fps."""
    crop_px: int
    """Height and width of its pictures."""
    landmark_schema: str
    excluded: bool
    """`exclude.json` beside the shards leaves it out."""


@dataclass(frozen=True, slots=True)
class ExportSample:
    """One clip with the bytes of its four members."""

    entry: ClipEntry
    facts: Mapping[str, Any]
    """Its JSON."""
    members: Mapping[str, bytes]
    """Suffix (`mp4`, `flac`, `json`, `npz`) -> content."""


def list_shards(shards: str, splits: Collection[str] = ()) -> list[ShardFile]:
    """Return the tars that index.json names, sorted by name.

    Args:
        shards: the folder of index.json, or its URL. Where it is the folder of `lipforge run
            shards` and LIPFORGE_SHARDS is set, the tars lie there.
        splits: only these; empty: all.

    Raises:
        ExportError: no index.json there, it is no index, or a split is not in it.
    """
    index = _index(shards)
    if is_quiet(index):
        fix = "these layouts are of clips that talk; read them with webdataset or read_shards"
        raise ExportError(f"{public_url(shards)}: silent and listening clips; {fix}")
    entries = index["shards"]
    found = {str(one["split"]) for one in entries}
    if unknown := sorted(set(splits) - found):
        raise ExportError(f"--split {unknown[0]}: not in {shards}; it has {', '.join(found)}")
    files = [
        ShardFile(one["name"], one["split"], _url(shards, one["name"]), one["sha256"])
        for one in entries
        if not splits or one["split"] in splits
    ]
    return sorted(files, key=lambda one: one.name)


def list_clips(files: Sequence[ShardFile]) -> list[ClipEntry]:
    """Return every clip, by shard and then as it stands in the tar; reads the JSON members only.

    Raises:
        ExportError: a tar is not there or not the one of index.json, its server refuses, a sample
            lacks a member, or two clips have one name.
    """
    exclusion = _exclusion(files)
    clips = [entry for file in files for entry in _clips_of(file, exclusion)]
    seen: set[str] = set()
    for clip in clips:
        if clip.clip_id.lower() in seen:  # file systems may not tell A from a
            raise ExportError(f"{clip.shard}/{clip.clip_id}: this name is given twice")
        seen.add(clip.clip_id.lower())
    return clips


def read_samples(files: Sequence[ShardFile], wanted: Collection[str]) -> Iterator[ExportSample]:
    """Yield the clips whose ids are wanted, in the order of `list_clips`, one in memory at a time.

    Raises:
        ExportError: as `list_clips`.
    """
    for file in files:
        with _opened(file) as tar:
            for clip_id, infos in _groups(file, tar):
                if clip_id in wanted:
                    members = {name: _content(tar, info) for name, info in infos.items()}
                    facts = _facts(file, clip_id, members["json"])
                    entry = _entry(file, clip_id, facts, excluded=False)
                    yield ExportSample(entry, facts, members)


def quiet_note(shards: str) -> str:
    """Return what is said of silent and listening clips beside the shards; empty: there are none.

    Raises:
        ExportError: their index is damaged, or its server refuses.
    """
    folder = f"{shards.rstrip('/')}/{QUIET}"
    try:
        there = bytes_at(f"{folder}/{INDEX}")
        entries = parsed_index(there, f"{folder}/{INDEX}")["shards"] if there else []
    except (ManifestError, UnreadableError) as error:
        raise ExportError(str(error)) from error
    count = sum(one["samples"] for one in entries)
    return f"{count} silent and listening clips stay in {QUIET}/: they do not talk" if count else ""


def _index(shards: str) -> dict[str, Any]:
    try:
        index = read_index(shards)
    except (ManifestError, UnreadableError) as error:
        fix = "name the folder that `lipforge run shards` wrote with --shards"
        raise ExportError(f"{error}; {fix}") from error
    if not index["shards"]:
        raise ExportError(f"{public_url(shards)}: names no shard; no clip was selected")
    for one in index["shards"]:
        if missing := [key for key in ("split", "sha256") if key not in one]:
            raise ExportError(f"{public_url(shards)}: {one['name']} without {missing[0]!r}")
    return index


def _url(shards: str, name: str) -> str:
    if "://" in shards:
        return f"{shards.rstrip('/')}/{name}"
    beside = Path(shards) / name
    return str(beside) if beside.exists() else tar_place(Path(shards)).url(name)


@contextmanager
def _opened(file: ShardFile) -> Iterator[tarfile.TarFile]:
    with _fetched(file) as path:
        if file_sha256(path) != file.sha256:
            fix = "run `lipforge run shards`, or fetch the shards once more"
            raise ExportError(f"{file.name}: not the tar that index.json names; {fix}")
        try:
            with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
                tar.getmembers()
                if not ends_whole(tar):
                    raise tarfile.ReadError("its end is missing")
                yield tar
        except tarfile.TarError as error:
            fix = "fetch the shards once more, or have them made again"
            raise ExportError(f"{file.name}: no whole tar: {error}; {fix}") from error


@contextmanager
def _fetched(file: ShardFile) -> Iterator[Path]:
    with ExitStack() as held:
        try:
            path = held.enter_context(local_copy(file.url))
        except MediaError as error:
            raise ExportError(f"{public_url(file.url)}: {error}") from error
        yield path


def _exclusion(files: Sequence[ShardFile]) -> Exclusion:
    try:
        return exclusion_beside(file.url for file in files)
    except (ManifestError, UnreadableError) as error:
        raise ExportError(str(error)) from error


def _clips_of(file: ShardFile, exclusion: Exclusion) -> list[ClipEntry]:
    with _opened(file) as tar:
        named = [
            (clip_id, _facts(file, clip_id, _content(tar, infos["json"])))
            for clip_id, infos in _groups(file, tar)
        ]
    return [_entry(file, clip_id, facts, exclusion.has(clip_id, facts)) for clip_id, facts in named]


def _groups(
    file: ShardFile, tar: tarfile.TarFile
) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Yield (clip_id, members) of every sample; TarFile keeps the headers, not the contents."""
    groups: dict[str, dict[str, tarfile.TarInfo]] = {}
    for info in tar.getmembers():
        clip_id, _, suffix = info.name.partition(".")
        groups.setdefault(clip_id, {})[suffix] = info
    for clip_id, infos in groups.items():
        if not clip_id or not set(clip_id) <= SAFE:
            raise ExportError(f"{file.name}: {clip_id!r} cannot be a file name; use A-Z a-z 0-9 _-")
        if missing := [name for name in MEMBERS if name not in infos]:
            raise ExportError(f"{file.name}/{clip_id}: no member {', '.join(missing)}")
        yield clip_id, infos


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(info)
    if stream is None:
        raise ExportError(f"{info.name}: no file")
    return stream.read()


def _facts(file: ShardFile, clip_id: str, content: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(content)
        if isinstance(facts, dict):
            return facts
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{file.name}/{clip_id}.json: {error}") from error
    raise ExportError(f"{file.name}/{clip_id}.json: no object")


def _entry(file: ShardFile, clip_id: str, facts: Mapping[str, Any], excluded: bool) -> ClipEntry:
    try:
        clip = facts["clip"]
        return ClipEntry(
            clip_id=clip_id,
            split=file.split,
            shard=file.name,
            num_frames=int(facts["num_frames"]),
            crop_px=int(clip["crop_px"]),
            landmark_schema=str(clip["landmark_schema"]),
            excluded=excluded,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise ExportError(
            f"{file.name}/{clip_id}.json: {error!r} is missing or no number"
        ) from error
