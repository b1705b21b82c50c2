"""Windows as the loader draws them: pairs per label, and windows without speech.

Shape suffixes: B items; K windows of an item; N windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.loop.batches import BatchSource, read_ahead
from trainers.loop.task import Batch
from trainers.preflight.split_statistics import DIGITS

WINDOWS = 256
"""Drawn at least. Of as many single pairs, the share in sync is within 0.125 of one half in all but
1 of 16,000 runs."""
PART_WINDOWS = 64
"""Held in memory at once, if the batch can be cut so: 0.4 GB in the published configuration."""
SILENT_BELOW = -1.0
"""Loudest mel value of a window (-4 ... 4) under which it counts as silent: hiss of 50 dB below
full scale. 1.8 % of the windows of 66 real clips lie there, none of the demo corpus."""


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """What was counted."""

    windows: int
    silent: int
    in_sync: int
    """Pairs of one moment."""
    out_of_sync: int
    """Negatives; pairs that the loss leaves out count nowhere."""


def count_windows(
    source: BatchSource, batch: int, windows_per_item: int, wanted: int
) -> tuple[WindowCounts, Batch | None]:
    """Draw the run's first windows; return the counts and a small batch to keep.

    Args:
        source: of training batches.
        batch: items of one of its batches.
        windows_per_item: K, or 1 where an item is one pair.
        wanted: windows in the batch that is kept; half of single pairs are in sync.

    Returns:
        The batch is None if one kind of pair was not drawn often enough.
    """
    parts = _parts(batch, -(-PART_WINDOWS // windows_per_item))
    counted, kept = WindowCounts(0, 0, 0, 0), _ItemCollector(wanted, windows_per_item)
    with read_ahead(source.batches(0, 0, parts), 0) as batches:
        while counted.windows < WINDOWS:
            part = next(batches)
            counted = _with(counted, part)
            kept.take(part)
    return counted, kept.batch()


def overlapping_negatives(lengths: Sequence[int], window_frames: int) -> float:
    """Return the share of `compat` negatives that have a frame in common with the right window.

    The mean over clips: of W starts, those nearer than a window to a start drawn evenly.
    """
    shares = []
    for frames in lengths:
        starts = frames - window_frames + 1
        near = sum(2 * (starts - shift) for shift in range(1, min(window_frames, starts)))
        shares.append(near / (starts * (starts - 1)) if starts > 1 else 0.0)
    return round(sum(shares) / len(shares), DIGITS) if shares else 0.0


def _with(counted: WindowCounts, batch: Batch) -> WindowCounts:
    loudest_N = batch["mel"].flatten(-3).amax(dim=-1).flatten()
    return WindowCounts(
        counted.windows + len(loudest_N),
        counted.silent + int((loudest_N <= SILENT_BELOW).sum()),
        counted.in_sync + int((batch["in_sync"] == 1).sum()),
        counted.out_of_sync + int((batch["in_sync"] == 0).sum()),
    )


def _parts(batch: int, items: int) -> int:
    """Return into how many ranks' parts a batch is cut, so that one is no more than it must be."""
    return max(n for n in range(1, batch + 1) if batch % n == 0 and (batch // n >= items or n == 1))


class _ItemCollector:
    """Collects the first items that hold a pair of each label, or half of each label."""

    def __init__(self, windows: int, windows_per_item: int) -> None:
        self._single = windows_per_item == 1
        each = windows // 2 if self._single else max(1, windows // windows_per_item)
        self._missing = {True: each, False: each if self._single else 0}
        self._items: list[dict[str, Any]] = []

    def take(self, batch: Batch) -> None:
        for place, labels in enumerate(batch["in_sync"]):
            positive = bool((labels == 1).any())
            whole = self._single or (positive and bool((labels == 0).any()))
            if whole and self._missing[positive]:
                self._missing[positive] -= 1
                self._items.append({name: _copied(v[place]) for name, v in batch.items()})

    def batch(self) -> Batch | None:
        if any(self._missing.values()):
            return None
        columns = {name: [item[name] for item in self._items] for name in self._items[0]}
        return {
            name: torch.stack(values) if isinstance(values[0], Tensor) else values
            for name, values in columns.items()
        }


def _copied(value: Any) -> Any:
    """A row of a batch would keep the whole batch in memory."""
    return value.clone() if isinstance(value, Tensor) else value
