"""Reads shards with the package webdataset, which imports torch: the writer does without."""

from collections.abc import Iterator, Sequence

import webdataset

from pipeline.shards.training_sample import TrainingSample, decode_sample


def read_shards(urls: str | Sequence[str]) -> Iterator[TrainingSample]:
    """Yield every sample of the shards, in their order, decoded. Paths or URLs."""
    dataset = webdataset.WebDataset(
        urls, shardshuffle=False, empty_check=False, nodesplitter=None, workersplitter=None
    )
    for sample in dataset:
        yield decode_sample(sample)
