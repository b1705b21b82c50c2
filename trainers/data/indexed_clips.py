"""Reading and decoding of one clip of an index."""

from trainers.data.clip import DecodedClip, decode_clip
from trainers.data.index import ShardIndex, read_members


def decode_indexed(
    index: ShardIndex, number: int, size_px: int | None = None, pictures: bool = True
) -> DecodedClip:
    """Read and decode the frames and audio of a clip.

    Args:
        number: of the clip in the index.
        size_px: as in `decode_clip`.
        pictures: as in `decode_clip`.

    Raises:
        ShardReadError: the storage refuses, or the shard has become shorter.
        DecodeError: as `decode_clip`.
    """
    return decode_clip(
        str(index.clip_ids[number]),
        index.shard_name(number),
        read_members(index.url(number), index.spans[number]),
        int(index.num_frames[number]),
        size_px,
        pictures,
    )
