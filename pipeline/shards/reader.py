"""Reads shards with the package webdataset, which imports torch: the writer does without."""

from collections.abc import Iterator, Sequence

import webdataset
from webdataset.shardlists import expand_urls

from pipeline.shards.training_sample import TrainingSample, decode_sample
from pipeline.sources import local_copy


def read_shards(urls: str | Sequence[str]) -> Iterator[TrainingSample]:
    """Yield every sample of the shards, in their order, decoded. Paths or URLs that fsspec knows.

    In a worker of torch's DataLoader: those of its own shards, so that all workers together yield
    every sample once. Fewer shards than workers leave some of these without work.
    A remote shard is fetched to this machine's bounded folder of copies, one at a time.

    Raises:
        UnreadableError: a shard is not there, or its server refuses.
    """
    named = [urls] if isinstance(urls, str) else urls
    shards = (one for name in named for one in expand_urls(name))
    for url in webdataset.split_by_worker(shards):
        with local_copy(url) as path:
            dataset = webdataset.WebDataset(
                str(path),
                shardshuffle=False,
                empty_check=False,
                nodesplitter=None,
                workersplitter=None,
            )
            for sample in dataset:
                yield decode_sample(sample)
