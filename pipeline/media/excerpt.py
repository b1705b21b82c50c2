"""The 25 fps frames of an interval, without decoding everything before it.

The pixels equal those of `frames_at_25fps`. Where a seek cannot guarantee that (no index of key
frames, no presentation times, a key frame that is none), the video is decoded from the start.
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, islice, repeat
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from pipeline.media.clock import VideoClock
from pipeline.media.container import open_media
from pipeline.media.frames import frames_at_25fps
from pipeline.media.layout import Layout, move, read_layout
from pipeline.media.picture import Picture
from pipeline.media.probe import Probe
from pipeline.media.spans import SEEKABLE
from pipeline.tables.rows import FPS, Video

Timed = tuple[int, av.VideoFrame]
"""Presentation time in the stream's units, frame."""


def frames_between(
    path: Path, facts: Probe | Video, start_frame: int, end_frame: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield frames [start_frame, end_frame) of the 25 fps grid.

    Args:
        facts: result of `probe` for the same file.
        end_frame: at most `facts.num_frames`.

    Yields:
        (H, W, 3) uint8 RGB as displayed, read-only: repeated frames share one array.

    Raises:
        DecodeError: as `grid_frames`.
        MediaError: as `read_layout`.
    """
    assert 0 <= start_frame < end_frame <= facts.num_frames, "the range lies inside the video"
    layout = read_layout(path)
    clock = layout.require_clock()
    with open_media(path) as container:
        frames = _from_key_frame(container, layout, clock, start_frame)
        if frames is not None:
            picture = Picture(layout.picture(container), layout.size)
            yield from _shown(frames, clock, picture, start_frame, end_frame)
            return
    yield from islice(frames_at_25fps(path), start_frame, end_frame)


def _from_key_frame(
    container: InputContainer, layout: Layout, clock: VideoClock, start_frame: int
) -> Iterator[Timed] | None:
    """Seek, and return the frames from a key frame on that is not later than `start_frame`.

    None where the first frame after the seek is no complete image (periodic intra refresh) or is
    later, and where the clock restarts: a seek cannot tell on which side it arrives.
    """
    if not SEEKABLE & set(container.format.name.split(",")) or layout.restarts:
        return None
    video = layout.picture(container)
    video.codec_context.thread_count = 1
    shift = layout.shifts[video.index].of(0)
    target = clock.start + int(Fraction(start_frame, FPS) / clock.time_base)
    container.seek(target - shift, stream=video, backward=True)
    frames = _increasing(_decoded(container, video, shift))
    first = next(frames, None)
    if first is None or first[0] > target or not first[1].key_frame:
        return None
    return chain([first], frames)


def _decoded(
    container: InputContainer, video: av.VideoStream, shift: int
) -> Iterator[av.VideoFrame]:
    for packet in container.demux(video):
        move(packet, shift)
        with suppress(av.FFmpegError):  # a bad packet costs its moment, as in `grid_frames`
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                yield frame


def _increasing(frames: Iterator[av.VideoFrame]) -> Iterator[Timed]:
    """Drop frames that are never shown: those not later than the one before."""
    last: int | None = None
    for frame in frames:
        if frame.pts is not None and (last is None or frame.pts > last):
            last = frame.pts
            yield frame.pts, frame


def _shown(
    frames: Iterator[Timed], clock: VideoClock, picture: Picture, start_frame: int, end_frame: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of a range of grid frames; the last source frame lasts to its end."""
    previous, shown = next(frames), start_frame
    for current in chain(frames, [None]):
        until = end_frame
        if current is not None:
            until = min(end_frame, clock.first_grid_frame(previous[0], current[0]))
        if until > shown:
            yield from repeat(picture.rgb(previous[1]), until - shown)
            shown = until
        if current is None or shown >= end_frame:
            return
        previous = current
