"""Shards as the batch source of the training loop, with the keys of items for messages."""

from collections.abc import Callable, Iterator
from contextlib import closing

from trainers.data.loader import Loader, LoaderBatch
from trainers.loop.batches import BatchSource
from trainers.loop.task import Batch


class ShardBatches(BatchSource):
    """Batches of windows; items need `shard`, `clip_id`, `start_frame`, as those of WindowItem."""

    def __init__(self, loader_of: Callable[[int, int], Loader]) -> None:
        """Take a factory (rank, number of ranks) -> loader, which is called once per process."""
        self._loader_of = loader_of
        self._loaders: dict[tuple[int, int], Loader] = {}

    def batch_at(self, step: int, rank: int, size: int) -> Batch:
        """Return this rank's part of a step, decoded in this thread.

        Raises:
            TrainingDataError: as the loader.
        """
        return _with_keys(self._loader(rank, size).batch_at(step))

    def batches(self, first_step: int, rank: int, size: int) -> Iterator[Batch]:
        """Yield the batches from `first_step` on, decoded by the loader's workers."""
        with closing(self._loader(rank, size).batches(first_step)) as batches:
            for batch in batches:
                yield _with_keys(batch)

    def _loader(self, rank: int, size: int) -> Loader:
        if (rank, size) not in self._loaders:
            self._loaders[rank, size] = self._loader_of(rank, size)
        return self._loaders[rank, size]


def _with_keys(batch: LoaderBatch) -> Batch:
    data = batch.data
    places = zip(data["shard"], data["clip_id"], data["start_frame"].tolist(), strict=True)
    return {**data, "keys": [f"{shard}/{clip}@{start}" for shard, clip, start in places]}
