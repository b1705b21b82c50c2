"""What the index of arrays beside the shards says of a tar of them."""

from collections.abc import Iterable

from pipeline.digest import digest


def contents_digest(clips: Iterable[tuple[str, str]]) -> str:
    """Return the digest of what a tar holds: another one means that it must be written anew.

    Args:
        clips: clip_id and cache key of its array, by clip_id.
    """
    return digest({"clips": [list(one) for one in clips]})
