"""Items of a batch -> columns, and the columns of several workers -> those of the batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trainers.data.window_items import Item


def collated(items: Sequence[Item]) -> dict[str, Any]:
    """Stack tensors of one shape, make a tensor of integers, and a list of everything else."""
    return {key: _column([item[key] for item in items]) for key in items[0]}


def _column(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, torch.Tensor) and len({value.shape for value in values}) == 1:
        return torch.stack(values)
    if isinstance(first, int | np.integer):
        return torch.tensor(values)
    return values


def interleaved(parts: Sequence[dict[str, Any]], total: int) -> dict[str, Any]:
    """Merge the positions of the workers: position i is of part i % len(parts)."""
    if len(parts) == 1:
        return parts[0]
    return {key: _interleaved([part[key] for part in parts], total) for key in parts[0]}


def _interleaved(columns: list[Any], total: int) -> Any:
    count = len(columns)
    tensors = all(isinstance(column, torch.Tensor) for column in columns)
    if tensors and len({column.shape[1:] for column in columns}) == 1:
        out = columns[0].new_empty((total, *columns[0].shape[1:]))
        for number, column in enumerate(columns):
            out[number::count] = column
        return out
    return [columns[place % count][place // count] for place in range(total)]
