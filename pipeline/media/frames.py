"""Frames of a video at 25 fps by presentation time, as displayed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.clock import VideoClock, read_clock
from pipeline.media.container import decode_stream, open_media, require_video
from pipeline.media.picture import Picture

MAX_LOST_TAIL_S = 1.0
"""More than this of packets at the end without a frame is a broken file."""


def read_video_clock(path: Path) -> VideoClock:
    """Read the presentation time of each frame; only the first one is decoded.

    Raises:
        DecodeError: no video stream, or none of its frames decodes.
        MediaError: as `open_media`.
    """
    with open_media(path) as container:
        video = require_video(container)
        return read_clock(container, video, container.demux(video))


@dataclass(frozen=True, slots=True)
class GridFrame:
    """One frame of the 25 fps grid."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB as displayed, read-only: repeated grid frames share one array."""
    damaged: bool = False
    """The picture is torn or may be: it, or one it is predicted from, did not decode or is lost."""
    held: int = 0
    """0 while the source frame is shown for its usual time (up to HELD_GAPS usual gaps), then 1,
    2, ...: the file has no newer picture, and this one stands still."""


def grid_frames(path: Path, threads: int = 1) -> Iterator[GridFrame]:
    """Yield frame 0, 1, ... of the 25 fps grid, decoding each source frame once.

    A repeated grid frame costs nothing: it is the same array. The pixels do not depend on
    `threads`.

    Args:
        threads: threads of the decoder; 0 lets FFmpeg choose.

    Raises:
        DecodeError: a frame does not decode; the message says at which second.
        MediaError: as `open_media`.
    """
    clock = read_video_clock(path)
    usual = clock.usual_grid_frames
    with open_media(path) as container:
        video = require_video(container)
        video.codec_context.thread_count = threads
        picture = Picture(video)
        for frame, first, end in _on_grid(timed_frames(container, video, clock), clock):
            image = picture.rgb(frame)
            image.flags.writeable = False
            for shown in range(end - first):
                yield GridFrame(image, frame.is_corrupt, max(0, shown + 1 - usual))


def frames_at_25fps(path: Path, threads: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of `grid_frames`, (H, W, 3) uint8 RGB, read-only.

    Raises:
        As `grid_frames`.
    """
    return (frame.image for frame in grid_frames(path, threads))


def timed_frames(
    container: InputContainer, video: av.VideoStream, clock: VideoClock
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (presentation time in the stream's units, frame), the times strictly increasing.

    A frame with the same or an earlier time than its predecessor is never shown, as in a player.

    Raises:
        DecodeError: frames do not decode, or decoding ends long before the packets do.
    """
    last = clock.start - 1
    step = max(1, clock.usual)
    for index, frame in enumerate(decode_stream(container, video)):
        time = _time_of(index, frame, clock, last + step)
        if time > last:
            yield time, frame
            last = time
    lost_s = float((int(clock.timestamps[-1]) - last) * clock.time_base)
    if lost_s > MAX_LOST_TAIL_S:
        raise DecodeError(f"the last {lost_s:.2f} s of the picture do not decode")


def _time_of(index: int, frame: av.VideoFrame, clock: VideoClock, otherwise: int) -> int:
    if clock.by_order:
        known = index < len(clock.timestamps)
        return int(clock.timestamps[index]) if known else otherwise
    return otherwise if frame.pts is None else frame.pts


def _on_grid(
    frames: Iterator[tuple[int, av.VideoFrame]], clock: VideoClock
) -> Iterator[tuple[av.VideoFrame, int, int]]:
    """Yield (frame, first grid frame, end grid frame) for each frame that the grid shows."""
    shown_from, previous = 0, None
    for time, frame in frames:
        if previous is not None:
            until = min(clock.first_grid_frame(previous[0], time), clock.num_frames)
            if until > shown_from:
                yield previous[1], shown_from, until
                shown_from = until
        previous = time, frame
    if previous is not None and shown_from < clock.num_frames:
        yield previous[1], shown_from, clock.num_frames
