"""Reading and decoding of one clip of an index."""

import numpy as np
from numpy.typing import NDArray

from pipeline.media.clip_reader import read_audio_int16
from trainers.data.clip import DecodedClip, decode_clip
from trainers.data.index import TRAINING_MEMBERS, ShardIndex, read_members
from trainers.data.range_reads import read_indexed


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


def decode_indexed_audio(index: ShardIndex, number: int) -> NDArray[np.int16]:
    """Read and decode the audio alone, (N,) mono 16 kHz.

    Raises:
        ShardReadError: the storage refuses, or the shard has become shorter.
        DecodeError: the audio does not decode.
    """
    offset, size = index.spans[number, TRAINING_MEMBERS.index("flac")].tolist()
    return read_audio_int16(read_indexed(index.url(number), offset, size))
