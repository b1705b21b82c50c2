"""Byte ranges of files at any URL that fsspec knows, read patiently."""

from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.errors import StorageError, UnreadableError
from pipeline.remote import FETCH_ATTEMPTS, file_system, patiently
from trainers.errors import ShardNotFoundError, ShardReadError

Answer = TypeVar("Answer")


def asked(url: str, call: Callable[[Any, str], Answer]) -> Answer:
    """Return what `call(file system, name)` returns; after a fault that may pass it is called anew.

    Raises:
        ShardNotFoundError: there is no such file.
        ShardReadError: the storage refuses, four times within seconds where that may help.
    """
    try:
        return patiently(lambda: call(*file_system(url)), "cannot be read", FETCH_ATTEMPTS)
    except (UnreadableError, StorageError) as error:
        absent = isinstance(error.__cause__, FileNotFoundError)
        why = f"cannot be read: {error.__cause__}" if error.__cause__ else str(error)
        raise (ShardNotFoundError if absent else ShardReadError)(f"{url}: {why}") from error


def read_bytes(url: str, start: int | None = None, end: int | None = None) -> bytes:
    """Return bytes [start, end) of a file, all of it by default; fewer if the file ends before.

    Raises:
        ShardNotFoundError: there is no such file.
        ShardReadError: the storage refuses.
    """
    content: bytes = asked(url, lambda fs, name: fs.cat_file(name, start=start, end=end))
    return content


def read_indexed(url: str, offset: int, size: int) -> bytes:
    """Return exactly the `size` bytes at `offset` that an index lists for a shard.

    Raises:
        ShardReadError: the storage refuses, or the shard has become shorter.
    """
    content = read_bytes(url, offset, offset + size)
    if len(content) != size:
        raise ShardReadError(f"{url}: ends early; it was changed after it was indexed")
    return content
