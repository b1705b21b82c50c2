"""Shards -> batches. `batch_at(step)` is a pure function of the seed and the step.

    index = index_shards(shard_urls("data/shards/train"), min_frames=32)
    loader = Loader(index, WindowItem(), LoaderConfig(order=OrderConfig(seed=0, batch=8)))
    for batch in loader.batches(first_step=resumed_at):
        ...

docs/loader.md explains the order and its memory use.
"""

import logging
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

import cv2
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pipeline.errors import MediaError
from trainers.data.clip import DecodedClip
from trainers.data.collation import collated, interleaved
from trainers.data.index import ShardIndex
from trainers.data.indexed_clips import decode_indexed
from trainers.data.order import Order, OrderConfig, Pick
from trainers.data.window_items import Item, MakeItem, Prepare
from trainers.errors import TrainingDataError, too_many

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderConfig:
    """The sampling order, and how this machine decodes."""

    order: OrderConfig
    window_frames: int = 16
    """Length of the windows for which starts are drawn."""
    size_px: int | None = None
    """Scale frames to this height and width; None keeps the stored size."""
    pictures: bool = True
    """Whether frames are decoded; False for a `prepare` that gives what stands for them."""
    max_bad_samples: int = 16
    """The run stops at more broken samples than this (counted per rank)."""
    rank: int = 0
    world_size: int = 1
    workers: int = 0
    """Threads or processes that decode ahead; 0 decodes on demand. Does not change the batches."""
    prefetch_steps: int = 2
    """Number of batches that every worker decodes ahead."""
    worker_kind: Literal["thread", "fork", "spawn", "forkserver"] = "thread"
    """Threads share memory, and decoding releases the GIL; processes of torch's DataLoader (by
    start method) are for a `make_item` or `prepare` that runs long in Python."""

    def __post_init__(self) -> None:
        if self.order.batch % self.world_size:
            raise TrainingDataError(
                f"loader: batch {self.order.batch} must be a multiple of {self.world_size} ranks"
            )
        if not 0 <= self.rank < self.world_size:
            raise TrainingDataError(f"loader: no rank {self.rank} of {self.world_size}")
        if self.workers < 0 or self.prefetch_steps < 1:
            raise TrainingDataError("loader: workers must be >= 0 and prefetch_steps >= 1")
        if self.workers > len(self.positions):
            raise TrainingDataError(
                f"loader: {self.workers} workers for {len(self.positions)} windows per rank; "
                f"use at most one per window"
            )

    @property
    def positions(self) -> range:
        """The positions of the whole batch that belong to this rank."""
        return range(self.rank, self.order.batch, self.world_size)


@dataclass(frozen=True, slots=True)
class LoaderBatch:
    """This rank's part of one step."""

    step: int
    epoch: int
    """The latest epoch of the clips of this part."""
    data: dict[str, Any]
    """Tensors of one shape stacked; integers as a tensor; everything else as lists."""
    bad: dict[str, str]
    """Broken samples that this rank found so far and replaced: key -> error."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The items of one worker for a step, at every n-th position of the rank."""

    step: int
    epoch: int
    items: list[Item]
    bad: dict[str, str]
    columns: dict[str, Any] | None = None
    """The collated items, instead of `items`, for the transfer between processes."""


class Loader:
    """The batches of one rank."""

    def __init__(
        self,
        index: ShardIndex,
        make_item: MakeItem,
        config: LoaderConfig,
        prepare: Prepare | None = None,
    ) -> None:
        """Set up the loader; nothing is decoded yet.

        Raises:
            TrainingDataError: no clip, or a clip is shorter than `window_frames`.
            TooManyBadSamplesError: the index lists too many broken samples.
        """
        if len(index) and int(index.num_frames.min()) < config.window_frames:
            raise TrainingDataError(
                f"loader: a clip has {index.num_frames.min()} frames, a window "
                f"{config.window_frames}; call index_shards with that as min_frames"
            )
        if len(index.bad) > config.max_bad_samples:
            raise too_many(index.bad, config.max_bad_samples)
        self.config, self.index = config, index
        self._spec = _WorkerSpec(index, config, make_item, prepare)
        self._reader = self._spec.reader(0, 1)
        for key, why in index.bad.items():
            logger.warning("left out: %s: %s", key, why)

    def batch_at(self, step: int) -> LoaderBatch:
        """Return this rank's part of a step, decoded in this process.

        Raises:
            TooManyBadSamplesError: more broken samples than `max_bad_samples`.
            ShardReadError: a shard cannot be read.
        """
        part = self._reader.part(step)
        return LoaderBatch(step, part.epoch, collated(part.items), {**self.index.bad, **part.bad})

    def batches(self, first_step: int = 0) -> Generator[LoaderBatch, None, None]:
        """Yield the batches from `first_step` on, without end; closing it stops the workers.

        Raises: as `batch_at`.
        """
        if not self.config.workers:
            step = first_step
            while True:
                yield self.batch_at(step)
                step += 1
        threads = self.config.worker_kind == "thread"
        parts = self._thread_parts(first_step) if threads else self._process_parts(first_step)
        with closing(parts):
            yield from _joined(parts, self.config, dict(self.index.bad))

    def _thread_parts(self, first_step: int) -> Generator[_Part, None, None]:
        workers = self.config.workers
        readers = [self._spec.reader(worker, workers) for worker in range(workers)]
        waiting: deque[Future[_Part]] = deque()
        with ExitStack() as stack:
            pools = [stack.enter_context(ThreadPoolExecutor(1, "loader")) for _ in readers]
            stack.callback(lambda: [part.cancel() for part in waiting])
            for step in count(first_step):
                for pool, reader in zip(pools, readers, strict=True):
                    waiting.append(pool.submit(reader.part, step))
                while len(waiting) > (self.config.prefetch_steps - 1) * workers:
                    yield waiting.popleft().result()

    def _process_parts(self, first_step: int) -> Generator[_Part, None, None]:
        config = self.config
        loader = DataLoader(
            _Worker(self._spec, first_step),
            batch_size=None,
            num_workers=config.workers,
            prefetch_factor=config.prefetch_steps,
            multiprocessing_context=config.worker_kind,
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # else torch uses the generator of the training
        )
        with _no_threads_to_inherit():
            iterator = iter(loader)
        yield from iterator


@dataclass(frozen=True, slots=True)
class _WorkerSpec:
    """Everything that a worker needs; holds no pixels, so that it is cheap to pickle."""

    index: ShardIndex
    config: LoaderConfig
    make_item: MakeItem
    prepare: Prepare | None

    def reader(self, worker: int, workers: int) -> "_Reader":
        return _Reader(self, self.config.positions[worker::workers])


def _one_thread(_worker: int) -> None:
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)


@contextmanager
def _no_threads_to_inherit() -> Iterator[None]:
    """End OpenCV's threads while processes are forked: a child that wants to end them waits for
    ever, since threads are not copied."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


class _Worker(IterableDataset[_Part]):
    def __init__(self, spec: _WorkerSpec, first_step: int) -> None:
        self._spec, self._first_step = spec, first_step

    def __iter__(self) -> Iterator[_Part]:
        info = get_worker_info()
        assert info is not None
        reader = self._spec.reader(info.id, info.num_workers)
        step = self._first_step
        while True:
            part = reader.part(step)
            yield replace(part, items=[], columns=collated(part.items))
            step += 1


def _joined(
    parts: Iterator[_Part], config: LoaderConfig, bad: dict[str, str]
) -> Iterator[LoaderBatch]:
    """Join the parts of the workers, which come in the order of the workers."""
    while True:
        step_parts = [next(parts) for _ in range(config.workers)]
        assert len({part.step for part in step_parts}) == 1
        for part in step_parts:
            bad |= part.bad
        if len(bad) > config.max_bad_samples:
            raise too_many(bad, config.max_bad_samples)
        data = _data(step_parts, len(config.positions))
        epoch = max(part.epoch for part in step_parts)
        yield LoaderBatch(step_parts[0].step, epoch, data, dict(bad))


def _data(parts: Sequence[_Part], total: int) -> dict[str, Any]:
    columns = [part.columns for part in parts if part.columns is not None]
    if columns:
        return interleaved(columns, total)
    return collated([parts[p % len(parts)].items[p // len(parts)] for p in range(total)])


class _Reader:
    """Decodes for some positions of the batch; holds at most one decoded clip per slot."""

    def __init__(self, spec: _WorkerSpec, positions: Sequence[int]) -> None:
        self._index, self._config = spec.index, spec.config
        self._make_item, self._prepare = spec.make_item, spec.prepare
        self._positions = positions
        self._order = Order(spec.index.clips_per_shard, spec.config.order)
        self._capacity = len(positions) * spec.config.order.lanes
        self._in_slot: dict[int, int] = {}
        self._decoded: dict[int, DecodedClip] = {}
        self.bad: dict[str, str] = {}

    def part(self, step: int) -> _Part:
        picks = [self._order.pick(step, position) for position in self._positions]
        items = [self._item(pick) for pick in picks]
        epoch = max(pick.epoch for pick in picks)
        return _Part(step, epoch, items, dict(self.bad))

    def _item(self, pick: Pick) -> Item:
        clip = self._good_clip(pick)
        rng = self._order.draw_rng(pick)
        num_starts = clip.num_frames - self._config.window_frames + 1
        return self._make_item(clip, self._order.start(pick, num_starts, rng), rng)

    def _good_clip(self, pick: Pick) -> DecodedClip:
        """Return the chosen clip, or its replacement if it is broken."""
        number, attempt = pick.clip, 0
        while (clip := self._clip(pick.slot, number)) is None:
            number = self._order.substitute(pick.ordinal, attempt)
            attempt += 1
        return clip

    def _clip(self, slot: int, number: int) -> DecodedClip | None:
        key = self._index.key(number)
        if key in self.bad:
            return None
        self._in_slot[slot] = number
        if number not in self._decoded:
            self._make_room()
            try:
                self._decoded[number] = self._decode(number)
            except MediaError as error:
                self._count_bad(key, f"{error.reason}: {error}")
                return None
        return self._decoded[number]

    def _make_room(self) -> None:
        wanted = set(self._in_slot.values())
        for number in list(self._decoded):  # in insertion order: the oldest first
            if len(self._decoded) < self._capacity:
                return
            if number not in wanted:
                del self._decoded[number]

    def _decode(self, number: int) -> DecodedClip:
        config = self._config
        clip = decode_indexed(self._index, number, config.size_px, config.pictures)
        if self._prepare is not None:
            clip.prepared = self._prepare(clip)
        return clip

    def _count_bad(self, key: str, why: str) -> None:
        logger.warning("bad sample, another stands in: %s: %s", key, why)
        self.bad[key] = why
        known = {**self._index.bad, **self.bad}
        if len(known) > self._config.max_bad_samples or len(self.bad) == len(self._index):
            raise too_many(known, self._config.max_bad_samples)
