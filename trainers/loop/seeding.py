"""Random streams as pure functions of (seed, step, place): no state to save.

The loop seeds python, numpy and torch anew before every step. So a resumed run draws what the
run that never stopped would have drawn, on every rank, whatever happened between two steps.
"""

import random
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Purpose = Literal["weights", "step", "validation", "items", "validation_items"]
_PURPOSES: tuple[Purpose, ...] = ("weights", "step", "validation", "items", "validation_items")


def seed_all(seed: int, purpose: Purpose, step: int = 0, rank: int = 0) -> None:
    """Seed python's, numpy's and torch's global streams, on the accelerators too."""
    sequence = np.random.SeedSequence([seed, _PURPOSES.index(purpose), step, rank])
    first, second, third = (int(word) for word in sequence.generate_state(3))
    random.seed(first)
    np.random.seed(second)
    torch.manual_seed(third)


def item_seeds(seed: int, purpose: Purpose, step: int, rank: int, size: int, items: int) -> Tensor:
    """Return (items,) int64 seeds of this rank's items: places rank, rank + size, ... of the batch.

    Args:
        size: number of ranks.
        items: number of this rank's items.
    """
    rng = np.random.default_rng([seed, _PURPOSES.index(purpose), step])
    return torch.from_numpy(rng.integers(2**63 - 1, size=items * size)[rank::size].copy())


def item_normal(seeds_B: Tensor, *shape: int) -> Tensor:
    """Return (B, *shape) float32 from N(0, 1); every item from its own seed, on the CPU's stream.

    Drawn on the CPU and moved to the seeds' device, so that a GPU gives the same numbers.
    """
    rows = [torch.randn(shape, generator=_generator(seed)) for seed in seeds_B.tolist()]
    return torch.stack(rows).to(seeds_B.device)


def item_integers(seeds_B: Tensor, high: int) -> Tensor:
    """Return (B,) int64 from 0 to high - 1, as `item_normal`."""
    rows = [torch.randint(high, (), generator=_generator(seed)) for seed in seeds_B.tolist()]
    return torch.stack(rows).to(seeds_B.device)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
