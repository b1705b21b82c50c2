"""Reads shards with the package webdataset, which imports torch: the writer does without."""

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import webdataset
from webdataset.shardlists import expand_urls

from pipeline.errors import DecodeError
from pipeline.media.clip_reader import read_facts
from pipeline.remote import public_url
from pipeline.shard_index.exclusion import exclusion_beside
from pipeline.shard_index.tar_end import ends_whole
from pipeline.shards.training_sample import TrainingSample, clip_id_of, decode_sample
from pipeline.sources import local_copy
from pipeline.tables.rows import BASE, HQ, QUIET_TIERS

TIERS = (BASE, HQ, *QUIET_TIERS)


def read_shards(urls: str | Sequence[str], tier: str = BASE) -> Iterator[TrainingSample]:
    """Yield every sample of the shards, in their order, decoded. Paths or URLs that fsspec knows.

    Args:
        tier: `base`: all of the shards; `hq`, or of quiet ones `silent` or `listening`: these only.

    In a worker of torch's DataLoader: those of its own shards, so that all workers together yield
    every sample once. Fewer shards than workers leave some of these without work.
    A remote shard is fetched to this machine's bounded folder of copies, one at a time.
    What an `exclude.json` beside the tars or in the folder above names is left out.

    Raises:
        UnreadableError: a shard is not there, or its server refuses.
        DecodeError: it is cut or damaged; names it. Or a sample has no tier, and one is asked for.
        ValueError: no such tier.
    """
    if tier not in TIERS:
        raise ValueError(f"tier {tier!r}: one of {', '.join(TIERS)}")
    named = [urls] if isinstance(urls, str) else urls
    shards = [one for name in named for one in expand_urls(name)]
    excluded = exclusion_beside(shards)
    for url in webdataset.split_by_worker(shards):
        with local_copy(url) as path:
            _require_whole(path, url)
            dataset = webdataset.WebDataset(
                str(path),
                shardshuffle=False,
                empty_check=False,
                nodesplitter=None,
                workersplitter=None,
            )
            for sample in dataset:
                facts = read_facts(sample["json"])
                if not excluded.has(clip_id_of(sample), facts) and _is_of(facts, tier, url):
                    yield decode_sample(sample)


def _is_of(facts: Mapping[str, Any], tier: str, url: str) -> bool:
    if tier == BASE:
        return True
    if "tier" not in facts:
        fix = "`lipforge run shards` makes our own again"
        raise DecodeError(f"{public_url(url)}: a sample has no tier, older shards have none; {fix}")
    return bool(facts["tier"] == tier)


def _require_whole(path: Path, url: str) -> None:
    """Refuse a tar whose end is missing: webdataset would take what is left for all.

    Raises:
        DecodeError: see above.
    """
    try:
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            names = tar.getnames()
            whole = ends_whole(tar)
    except tarfile.TarError as error:
        raise DecodeError(f"{public_url(url)}: no whole tar: {error}") from error
    if not names or not whole:
        raise DecodeError(f"{public_url(url)}: its end is missing or damaged; fetch it again")
