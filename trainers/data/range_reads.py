"""Byte ranges of files at any URL that fsspec knows."""

import fsspec

from trainers.errors import ShardNotFoundError, ShardReadError


def read_bytes(url: str, start: int | None = None, end: int | None = None) -> bytes:
    """Return bytes [start, end) of a file, all of it by default; fewer if the file ends before.

    Raises:
        ShardNotFoundError: there is no such file.
        ShardReadError: the storage refuses.
    """
    try:
        fs, path = fsspec.core.url_to_fs(url)
        content: bytes = fs.cat_file(path, start=start, end=end)
    except FileNotFoundError as error:
        raise ShardNotFoundError(f"{url}: cannot be read: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a protocol that fsspec does not know
        raise ShardReadError(f"{url}: cannot be read: {error}") from error
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
