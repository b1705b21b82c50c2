"""Listing of shards: by folder, tar, glob or brace list, and those of a curated split."""

from collections.abc import Iterable
from pathlib import Path

import fsspec
from webdataset.shardlists import expand_urls

from pipeline.engine.command import DATA
from trainers.errors import ShardReadError, TrainingDataError


def shard_urls(sources: str | Path | Iterable[str | Path]) -> list[str]:
    """Return the URLs of all tars, sorted.

    Args:
        sources: folders, tars, globs or brace lists (`s3://b/train-{0000..0007}.tar`); local paths
            or any URL that fsspec knows.

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


def split_urls(split: str, shards: Path = DATA / "shards") -> list[str]:
    """Return the tars of one split of the curated shards.

    Raises:
        TrainingDataError: the split is empty; with a hint.
    """
    folder = shards / split
    if not any(folder.glob("*.tar")):
        fix = "run `dvc repro shards`; if it has run, no clip fell into this split"
        share = "" if split == "train" else f": more speakers or a higher select.{split}_share help"
        raise TrainingDataError(f"{folder}: no .tar; {fix}{share}")
    return shard_urls(folder)


def _expand(source: str) -> list[str]:
    urls: list[str] = []
    for one in expand_urls(source):
        try:
            fs, path = fsspec.core.url_to_fs(one)
            if fs.isdir(path):
                urls += map(fs.unstrip_protocol, fs.glob(f"{path.rstrip('/')}/**/*.tar"))
            elif any(sign in path for sign in "*?["):
                urls += map(fs.unstrip_protocol, fs.glob(path))
            elif fs.exists(path):
                urls.append(fs.unstrip_protocol(path))
        except (OSError, ValueError) as error:
            raise ShardReadError(f"{one}: cannot be listed: {error}") from error
    return urls
