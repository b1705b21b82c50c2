"""Validation over held-out clips, each once, independent of the number of processes."""

from collections.abc import Callable

from trainers.data.index import ShardIndex
from trainers.data.loader import Loader
from trainers.data.shard_batches import ShardBatches
from trainers.loop.batches import BatchSource
from trainers.loop.task import Batch
from trainers.loop.validation import Validation
from trainers.processes.world import World

LoaderOf = Callable[[int, int], Loader]


class SingleClipBatches(BatchSource):
    """Batch n of a rank is clip n * size + rank: one clip per rank and step."""

    def __init__(self, loader_of: LoaderOf, clips: int) -> None:
        """Take a factory of loaders whose batch is one item per rank, each of another clip."""
        self._source, self._clips = ShardBatches(loader_of), clips

    def batch_at(self, step: int, rank: int, size: int) -> Batch:
        """Return one clip; no item after the last one."""
        if step * size + rank >= self._clips:
            return {"keys": []}
        return self._source.batch_at(step, rank, size)


def each_clip_once(
    loader_of: LoaderOf, index: ShardIndex, max_clips: int, world: World
) -> Validation:
    """Return a validation over at most `max_clips` clips, drawn by the loader's seed, each once."""
    clips = min(len(index), max_clips)
    return Validation(SingleClipBatches(loader_of, clips), -(-clips // world.size))
