"""The training clips of an index by tier, and the runs of good seconds in them.

A run is an entry of its own: it is decoded, shuffled and drawn from as a clip of its length is, so
no window, negative or reference lies in a bad second, whatever a system's items draw.

Shape suffix: S frames of a sample at 25 fps.
"""

import io
import logging
import operator
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError, ParamsError
from pipeline.media.clip_reader import arrays_in
from pipeline.params.clip_use import ClipUseParams, SecondsParams
from pipeline.runs import runs_of
from pipeline.tables.rows import BASE, FPS
from trainers.data.index import SCANNERS, ShardIndex, index_shards, taken
from trainers.data.range_reads import asked
from trainers.errors import TrainingDataError

logger = logging.getLogger(__name__)
Span = tuple[int, int]
"""[start, end) in frames of a sample."""
_LIMITS: dict[str, tuple[str, Callable[[Any, float], Any]]] = {
    "min_sync": ("sync", operator.lt),
    "min_speech": ("speech", operator.lt),
    "max_cover": ("cover", operator.gt),
    "min_change": ("change", operator.lt),
}
"""Limit -> its label, and how a bad second compares with it."""


def index_training(urls: Sequence[str], min_frames: int, use: ClipUseParams) -> ShardIndex:
    """Index shards as `index_shards` does, of the tier and in the seconds that are asked for.

    The labels of a clip are read from its npz, a few kilobytes of each.

    Raises:
        TrainingDataError: the shards have no tiers or labels, or nothing is left.
        ShardReadError: as `index_shards`.
    """
    index = index_shards(urls, min_frames)
    if use.tier != BASE:
        index = _of_tier(index, use.tier)
    if use.skips:
        index = _good_runs(index, use.seconds, min_frames)
    return index


def require_whole_clips(use: ClipUseParams, stored: bool, profile: str, features: str) -> None:
    """Refuse to skip seconds where the features of whole clips are read from beside the shards.

    Args:
        profile: the key in params.yaml of what trains.
        features: of the stored features.

    Raises:
        ParamsError: both are asked for.
    """
    if use.skips and stored:
        raise ParamsError(
            f"params.yaml: {profile}.data.seconds skips seconds, and {features} stores what is "
            f"made of whole clips; set {features} to none, or the limits to their defaults"
        )


def good_spans(labels: dict[str, NDArray[Any]], limits: SecondsParams) -> list[Span]:
    """Return the runs of frames whose seconds are within the limits.

    A second is 25 frames from the sample's first on; the last may be shorter. The mean counts.

    Args:
        labels: (S,) each, those of the npz.
    """
    first, *_ = labels.values()
    starts = np.arange(0, len(first), FPS)
    lengths = np.diff([*starts, len(first)])
    bad = np.zeros(len(starts), np.bool_)
    for name, (label, beyond) in _LIMITS.items():
        if label in labels:
            means = np.add.reduceat(labels[label].astype(np.float64), starts) / lengths
            bad |= beyond(means, getattr(limits, name))
    return runs_of(np.repeat(~bad, lengths))


def _of_tier(index: ShardIndex, tier: str) -> ShardIndex:
    if unknown := [number for number in range(len(index)) if not index.tiers[number]]:
        raise TrainingDataError(
            f"data.tier: {tier}: {index.key(unknown[0])} and {len(unknown) - 1} more have no tier; "
            "`lipforge run shards` makes our own again"
        )
    kept = taken(index, np.flatnonzero(index.tiers == tier))
    if not len(kept):
        raise TrainingDataError(
            f"data.tier: {tier}: none of {len(index)} clips is of it; weaken select.{tier}"
        )
    return kept


def _good_runs(index: ShardIndex, limits: SecondsParams, min_frames: int) -> ShardIndex:
    off = SecondsParams()
    wanted = [
        one for limit, (one, _) in _LIMITS.items() if getattr(limits, limit) != getattr(off, limit)
    ]
    numbers, spans, skipped = list[int](), list[Span](), list[str]()
    for number, labels in enumerate(_labels(index, wanted)):
        good = [(a, b) for a, b in good_spans(labels, limits) if b - a >= min_frames]
        numbers += [number] * len(good)
        spans += good
        skipped += [] if good else [index.key(number)]
    if not numbers:
        raise TrainingDataError(
            f"data.seconds: no clip of {len(index)} has {min_frames} frames in good seconds; "
            "weaken a limit"
        )
    frames = sum(end - start for start, end in spans)
    share = frames / int(index.num_frames.sum())
    logger.info("%.1f %% of the seconds are drawn from, as data.seconds asks", 100 * share)
    parts = np.array(spans, np.int32)
    return replace(
        taken(index, np.array(numbers)),
        first_frame=parts[:, 0],
        num_frames=parts[:, 1] - parts[:, 0],
        skipped=tuple(skipped),
    )


def _labels(index: ShardIndex, names: Sequence[str]) -> list[dict[str, NDArray[Any]]]:
    """Return the named labels of every clip, in the order of the index."""
    clips = range(len(index))
    groups = [list(some) for _, some in groupby(clips, key=lambda one: index.shard_of[one])]
    with ThreadPoolExecutor(SCANNERS) as threads:
        found = threads.map(lambda some: _labels_of_shard(index, some, names), groups)
        return [labels for some in found for labels in some]


def _labels_of_shard(
    index: ShardIndex, clips: Sequence[int], names: Sequence[str]
) -> list[dict[str, NDArray[Any]]]:
    def read(fs: Any, path: str) -> list[dict[str, NDArray[Any]]]:
        with fs.open(path, "rb") as stream:
            return [_labels_of(index, stream, one, names) for one in clips]

    return asked(index.url(clips[0]), read)


def _labels_of(
    index: ShardIndex, stream: Any, clip: int, names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    offset, size = index.npz_spans[clip].tolist()
    try:
        labels = arrays_in(io.BufferedReader(_Part(stream, offset, size)), names)
        if {len(one) for one in labels.values()} != {int(index.num_frames[clip])}:
            raise DecodeError("its labels are not as many as its frames")
    except DecodeError as error:
        raise TrainingDataError(
            f"data.seconds: {index.key(clip)} has no label {', '.join(names)}: {error}; "
            "`lipforge run shards` makes our own again"
        ) from error
    return labels


class _Part(io.RawIOBase):
    """Bytes [offset, offset + size) of a file, as a file."""

    def __init__(self, stream: Any, offset: int, size: int) -> None:
        self._stream, self._offset, self._size, self._at = stream, offset, size, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, to: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + to
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._at))
        self._stream.seek(self._offset + self._at)
        content = self._stream.read(wanted)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
