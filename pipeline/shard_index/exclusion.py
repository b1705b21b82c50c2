"""`exclude.json` beside `index.json`: samples that readers leave out at once, tars as they are.

{"version": 1, "samples": ["<clip_id>", ...], "sources": ["<SHA-256 of a film>", ...]}
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError
from pipeline.remote import HTTP
from pipeline.shard_index.index_file import bytes_at
from pipeline.shard_index.quiet import QUIET

EXCLUDE = "exclude.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What is left out."""

    samples: frozenset[str] = frozenset()
    """By clip_id."""
    sources: frozenset[str] = frozenset()
    """By the SHA-256 of the film, `video.video_id` of a sample's JSON."""

    def __or__(self, other: "Exclusion") -> "Exclusion":
        return Exclusion(self.samples | other.samples, self.sources | other.sources)

    def has(self, clip_id: str, facts: Mapping[str, Any]) -> bool:
        """Return whether a sample is left out.

        Args:
            facts: the sample's JSON.
        """
        return clip_id in self.samples or source_of(facts) in self.sources

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {
            "version": VERSION,
            "samples": sorted(self.samples),
            "sources": sorted(self.sources),
        }


def source_of(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the film that a sample's JSON names; empty if it names none."""
    video = facts.get("video")
    return str(video.get("video_id", "")) if isinstance(video, Mapping) else ""


def read_exclusion(shards: str) -> Exclusion:
    """Read the list of a folder or URL of shards; nothing is left out where there is none.

    Raises:
        ManifestError: it is no such list.
        UnreadableError: the storage refuses.
    """
    where = f"{shards.rstrip('/')}/{EXCLUDE}"
    text = bytes_at(where)
    if text is None:
        return Exclusion()
    try:
        content = json.loads(text)
        known = content["version"] == VERSION
        found = Exclusion(frozenset(content["samples"]), frozenset(content["sources"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{where}: no list of exclusions: {error!r}") from error
    if not known:
        raise ManifestError(f"{where}: version {content['version']}; install a newer lipforge")
    return found


def exclusion_beside(urls: Iterable[str]) -> Exclusion:
    """Return what the lists beside tars leave out: in the folder of each, and the one above it.

    What holds for the shards holds for the quiet clips below them.

    Raises: as `read_exclusion`.
    """
    found = Exclusion()
    for folder in sorted({one for url in urls for one in _folders_of(url)}):
        found |= read_exclusion(folder)
    return found


def _folders_of(url: str) -> list[str]:
    if "://" not in url:
        folder = Path(url).parent
        above = folder.absolute().parent
        return [str(folder), str(above), *([str(above.parent)] if above.name == QUIET else [])]
    address = url.partition("?")[0] if url.startswith(HTTP) else url
    folders = [address.rsplit("/", depth)[0] for depth in (1, 2, 3)]
    named = folders if folders[1].endswith(f"/{QUIET}") else folders[:2]
    return [one for one in named if not one.endswith((":", "/"))]
