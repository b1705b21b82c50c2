"""Stand-ins: networks with random weights, for machines without the weights files."""

import zlib
from collections.abc import Callable
from typing import TypeVar

import torch

STAND_IN = "stand-in:"
"""Prefix of the name of a stand-in."""

Made = TypeVar("Made")


def seeded_by_name(name: str, make: Callable[[], Made]) -> Made:
    """Call `make` with a seed that depends on the name alone; torch's own random state is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(name.encode()))
        return make()
