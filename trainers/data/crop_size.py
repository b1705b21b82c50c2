"""Whether the pictures of shards are large enough for a network. Scaling down is harmless."""

import io

import av
import numpy as np

from trainers.data.index import TRAINING_MEMBERS, ShardIndex
from trainers.data.range_reads import read_indexed
from trainers.errors import TrainingDataError


def require_crops(index: ShardIndex, size_px: int, wanted_by: str) -> None:
    """Stop a training that would have to enlarge its pictures.

    Args:
        wanted_by: the key of params.yaml, and its value, that asks for this size.

    Raises:
        TrainingDataError: names the first clip that is smaller, and what to change.
        ShardReadError: a shard cannot be read.
    """
    if found := too_small(index, size_px):
        raise TrainingDataError(f"{found} ({wanted_by})")


def too_small(index: ShardIndex, size_px: int) -> str:
    """Say which clips are smaller than a network's pictures; empty if none is.

    The size is that of the samples' JSON. Of shards that do not tell it, one clip is looked at.

    Raises:
        ShardReadError: a shard cannot be read.
    """
    small = np.flatnonzero((index.crop_px > 0) & (index.crop_px < size_px)).tolist()
    if len(small):
        clip, crop_px = small[0], int(index.crop_px[small[0]])
        return _message(index, clip, f"{len(small)} of {len(index)} clips", crop_px, size_px)
    unknown = np.flatnonzero(index.crop_px == 0).tolist()
    if unknown and 0 < (crop_px := _stored_size(index, unknown[0])) < size_px:
        return _message(index, unknown[0], "a clip", crop_px, size_px)
    return ""


def _message(index: ShardIndex, clip: int, how_many: str, crop_px: int, size_px: int) -> str:
    return (
        f"{index.url(clip)}: {how_many} too small, such as {index.clip_ids[clip]}: faces.crop_px "
        f"was {crop_px}, the network wants {size_px}; set faces.crop_px: {size_px} and run `dvc "
        f"repro shards`, or choose a network of {crop_px} px or less"
    )


def _stored_size(index: ShardIndex, clip: int) -> int:
    """Return the shorter edge of a clip's picture; 0 if it cannot be read as a video."""
    offset, size = index.spans[clip, TRAINING_MEMBERS.index("mp4")].tolist()
    try:
        with av.open(io.BytesIO(read_indexed(index.url(clip), offset, size))) as video:
            stream = video.streams.video[0]
            return min(stream.width, stream.height)
    except (av.FFmpegError, IndexError):
        return 0
