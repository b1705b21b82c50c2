"""Curated shards as a source of batches: the loader of trainers/data, with keys for messages."""

from collections.abc import Callable, Iterator
from contextlib import closing

from trainers.data.loader import Batch as LoaderBatch
from trainers.data.loader import Loader
from trainers.loop.batches import BatchSource
from trainers.loop.task import Batch


class ShardBatches(BatchSource):
    """Batches of windows; items need `shard`, `clip_id` and `start_frame`, as WindowItem's have."""

    def __init__(self, loader_of: Callable[[int, int], Loader]) -> None:
        """Take the function (rank, number of ranks) -> loader; it is called once per process."""
        self._loader_of = loader_of
        self._loaders: dict[tuple[int, int], Loader] = {}

    def batch_at(self, step: int, rank: int, size: int) -> Batch:
        """Return this rank's part, decoded in this thread.

        Raises:
            TrainingDataError: as the loader.
        """
        return _with_keys(self._loader(rank, size).batch_at(step))

    def batches(self, first_step: int, rank: int, size: int) -> Iterator[Batch]:
        """Yield the batches from `first_step` on, made by the loader's workers."""
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
