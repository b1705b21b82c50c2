"""Reading and decoding of one clip of an index."""

from trainers.data.clip import DecodedClip, decode_clip
from trainers.data.index import ShardIndex, read_members


def decode_indexed(
    index: ShardIndex, number: int, size_px: int | None = None, pictures: bool = True
) -> DecodedClip:
    """Read and decode the frames and audio of a clip, or of the part of it that the index names.

    Args:
        number: of the clip in the index.
        size_px: as in `decode_clip`.
        pictures: as in `decode_clip`.

    Raises:
        ShardReadError: the storage refuses, or the shard has become shorter.
        DecodeError: as `decode_clip`.
    """
    clip = decode_clip(
        str(index.clip_ids[number]),
        index.shard_name(number),
        read_members(index.url(number), index.spans[number]),
        int(index.clip_frames[number]),
        size_px,
        pictures,
    )
    frames = int(index.num_frames[number])
    return clip if frames == clip.num_frames else clip.part(int(index.first_frame[number]), frames)
