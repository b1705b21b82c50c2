"""The arrays of a network in dlib's own serialization. Nothing in the file is executed.

A whole number is a count of bytes and these bytes; an array is a version, four sizes and
little-endian float32. Between the arrays stand layers' names and settings, which are passed over.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**22
"""Numbers in an array, at most."""
_HEADER = 12
"""Bytes that an array's beginning takes at least."""


def read_arrays(content: bytes) -> Iterator[NDArray[np.float32]]:
    """Yield every array of more than one number, flat, in the order of the file."""
    place = 0
    while place < len(content) - _HEADER:
        sizes, begin = _sizes(content, place)
        count = int(np.prod(sizes, dtype=np.int64))
        array = _array(content, begin, count)
        if array is None:
            place += 1
            continue
        yield array
        place = begin + array.nbytes


def _array(content: bytes, begin: int, count: int) -> NDArray[np.float32] | None:
    """Return an array, or None for other bytes that happen to look like its beginning."""
    if not 1 < count <= LARGEST or begin + 4 * count > len(content):
        return None
    array = np.frombuffer(content, "<f4", count, begin)
    lengths = np.abs(array)
    plausible = np.isfinite(array).all() and lengths.max() < 1e4 and (lengths > 1e-12).mean() > 0.3
    return array if plausible else None


def _sizes(content: bytes, place: int) -> tuple[list[int], int]:
    """Return the four sizes of an array that begins here, and where its numbers begin."""
    version, place = _whole(content, place)
    sizes = []
    for _ in range(4):
        size, place = _whole(content, place) if version == 2 else (0, place)
        sizes.append(size)
    return sizes, place


def _whole(content: bytes, place: int) -> tuple[int, int]:
    count = content[place] if place < len(content) else 0
    if not 1 <= count <= 8:  # also what is negative
        return 0, place + 1
    end = place + 1 + count
    return int.from_bytes(content[place + 1 : end], "little"), end
