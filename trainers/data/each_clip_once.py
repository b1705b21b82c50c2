"""Held-out clips one by one, each once: the same whatever the number of processes."""

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
    """Batch n holds clip n * size + rank, so that every rank measures one clip at a time."""

    def __init__(self, loader_of: LoaderOf, clips: int) -> None:
        """Take a loader's maker whose batch is one item per rank, each of another clip."""
        self._source, self._clips = ShardBatches(loader_of), clips

    def batch_at(self, step: int, rank: int, size: int) -> Batch:
        """Return one clip; nothing behind the last one."""
        if step * size + rank >= self._clips:
            return {"keys": []}
        return self._source.batch_at(step, rank, size)


def each_clip_once(loader_of: LoaderOf, index: ShardIndex, most: int, world: World) -> Validation:
    """Return a validation over at most `most` clips, by the loader's seed, every one once."""
    clips = min(len(index), most)
    return Validation(SingleClipBatches(loader_of, clips), -(-clips // world.size))
