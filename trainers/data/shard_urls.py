"""Listing of shards: by folder, tar, glob or brace list, and those of a curated split."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webdataset.shardlists import expand_urls

from pipeline.engine.command import DATA
from pipeline.shard_index.index_file import INDEX, parsed_index
from pipeline.shard_index.quiet import QUIET
from pipeline.shards.place import tar_place
from trainers.data.range_reads import asked
from trainers.errors import TrainingDataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitUrls:
    """URLs of the tars that a system is trained and validated on, see `shard_urls`."""

    train: Sequence[str]
    validation: Sequence[str]


def shard_urls(sources: str | Path | Iterable[str | Path]) -> list[str]:
    """Return the URLs of all tars, sorted.

    Args:
        sources: folders, tars, globs or brace lists (`s3://b/train-{0000..0007}.tar`); local paths
            or any URL that fsspec knows. Below a folder, `quiet` is left out: its clips do not
            talk; name that folder to read them.

    Raises:
        TrainingDataError: a source has no tar.
        ShardReadError: the file system cannot be listed.
    """
    named = [sources] if isinstance(sources, str | Path) else list(sources)
    urls: set[str] = set()
    for source in named:
        found = _expand(str(source))
        if not found:
            raise TrainingDataError(f"{source}: no .tar there; name a folder of shards, or a tar")
        urls |= set(found)
    return sorted(urls)


def curated_urls(shards: Path = DATA / "shards") -> list[str]:
    """Return the tars of all splits of the curated shards, wherever $LIPFORGE_SHARDS says they lie.

    Raises:
        TrainingDataError: there is none.
    """
    place = tar_place(shards)
    if not place.sealed:
        return shard_urls(f"{shards}/*/*.tar")
    names = indexed_digests(shards)
    if not names:
        raise TrainingDataError(f"{shards}/index.json: names no tar; run `dvc repro shards`")
    return sorted(
        place.url(name) if place.remote else f"file://{place.url(name)}" for name in names
    )


def indexed_digests(shards: Path) -> dict[str, str]:
    """Return the SHA-256 of every curated shard by its name, as index.json has it.

    Raises:
        TrainingDataError: there is no such file.
        ManifestError: it is of a later version of lipforge, or no index.
    """
    try:
        content = parsed_index((shards / INDEX).read_bytes(), f"{shards}/{INDEX}")
    except FileNotFoundError as error:
        raise TrainingDataError(f"{shards}/index.json: absent; run `dvc repro shards`") from error
    return {entry["name"]: entry["sha256"] for entry in content["shards"]}


def split_urls(split: str, shards: Path = DATA / "shards") -> list[str]:
    """Return the tars of one split of the curated shards.

    Raises:
        TrainingDataError: the split is empty; with a hint.
    """
    place = tar_place(shards)
    if place.sealed:
        found = [url for url in curated_urls(shards) if url.rsplit("/", 2)[-2] == split]
    else:
        folder = shards / split
        found = shard_urls(folder) if any(folder.glob("*.tar")) else []
    if not found:
        fix = "run `dvc repro shards`; if it has run, no clip fell into this split"
        share = "" if split == "train" else f": more speakers or a higher select.{split}_share help"
        raise TrainingDataError(f"{place.url(split)}: no .tar; {fix}{share}")
    return found


def _expand(source: str) -> list[str]:
    urls: list[str] = []
    for one in expand_urls(source):
        urls += asked(one, _tars)
    return urls


def _talking(found: Sequence[str], folder: str) -> list[str]:
    """Return the tars that lie in no folder `quiet` below the one that was named."""
    named = f"{folder.rstrip('/')}/".count(f"/{QUIET}/")
    kept = [one for one in found if one.count(f"/{QUIET}/") <= named]
    if len(kept) < len(found):
        logger.info("%s: %d tars in %s/ are left out", folder, len(found) - len(kept), QUIET)
    return kept


def _tars(fs: Any, path: str) -> list[str]:
    if fs.isdir(path):
        found = _talking(fs.glob(f"{path.rstrip('/')}/**/*.tar"), path)
    elif any(sign in path for sign in "*?["):
        found = fs.glob(path)
    else:
        found = [path] if fs.exists(path) else []
    return [fs.unstrip_protocol(one) for one in found]
