"""What a worker process gets of an object: Ray and PyTorch's loader pickle what they send.

The only place of the tests that unpickles, and only what it has pickled itself.
"""

import pickle
from typing import TypeVar

T = TypeVar("T")


def sent(value: object) -> bytes:
    """Return the bytes that go to a worker."""
    return pickle.dumps(value)


def arrived(value: T) -> T:
    """Return the object as it arrives at a worker."""
    copy: T = pickle.loads(sent(value))
    return copy
