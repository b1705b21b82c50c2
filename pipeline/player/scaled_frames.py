"""The frames of a stretch of a clip, scaled down, as an encoder takes them.

By decord, which seeks, decodes and scales in one call; by PyAV where there is no decord, as on ARM.
The frames differ by what two ways to scale differ by.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import Interpolation, VideoReformatter

from pipeline.errors import DecodeError
from pipeline.media.clip_reader import stored_frames
from pipeline.media.container import local_url

BLOCK = 50
"""Frames that are in memory at once."""


def scaled_frames(mp4: Path, start: int, end: int, px: int) -> Iterator[av.VideoFrame]:
    """Yield the frames [start, end) as yuv420p, px x px; those that the clip lacks are left out.

    Raises:
        DecodeError: decord does not read the file.
        av.FFmpegError, IndexError: PyAV does not.
    """
    try:
        import decord
    except ImportError:
        frames: Iterator[av.VideoFrame] = islice(stored_frames(mp4), start, end)
    else:
        frames = _by_decord(decord, mp4, start, end, px)
    size: dict[str, Any] = {"width": px, "height": px, "format": "yuv420p"}
    scale = VideoReformatter()  # one for all: a new one would cost more than the scaling
    for frame in frames:
        yield scale.reformat(frame, **size, interpolation=Interpolation.AREA)


def _by_decord(decord: Any, mp4: Path, start: int, end: int, px: int) -> Iterator[av.VideoFrame]:
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(local_url(mp4), width=px, height=px, num_threads=1)
        for first in range(start, min(end, len(reader)), BLOCK):
            numbers = range(first, min(first + BLOCK, end, len(reader)))
            for picture in reader.get_batch(list(numbers)).asnumpy():
                yield av.VideoFrame.from_ndarray(picture, format="rgb24")
    except (decord.DECORDError, RuntimeError) as error:
        raise DecodeError(f"decord: {error}") from error
