"""Requests to the storage behind the item cache: asked again while it may answer, one error."""

from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import StorageError
from pipeline.faults import Caught
from pipeline.remote import answer, until_answered

Answer = TypeVar("Answer")

ATTEMPTS = 6
"""Of each request, over about 12 s; see `pipeline.remote.until_answered`."""


def reached(where: str, call: Callable[[], Answer], attempts: int = ATTEMPTS) -> Answer:
    """Return what a request returns, tried again after a fault of the moment.

    Args:
        where: the cache's folder or URL, for the message.

    Raises:
        StorageError: the store has refused, or has not answered at any attempt.
    """
    with Caught() as caught:
        return until_answered(call, attempts)
    assert caught.error is not None, "the call returned or raised"
    raise _unreachable(where, caught.error) from caught.error


def _unreachable(where: str, error: BaseException) -> StorageError:
    if isinstance(error, StorageError):
        return error
    said = f"{where}: the item cache cannot be reached: {answer(error)}"
    return StorageError(f"{said}; {_fix(error)} and run again: finished items are cached")


def _fix(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "make the bucket, or correct LIPFORGE_CACHE,"
    if isinstance(error, PermissionError):
        return "allow these credentials to list, read, write and delete there"
    return f"it was asked {ATTEMPTS} times; wait until it answers"
