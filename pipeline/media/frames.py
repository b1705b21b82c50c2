"""Frames of a video at 25 fps by presentation time, as displayed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.clock import VideoClock
from pipeline.media.container import open_media
from pipeline.media.decoding import Damage, Decoded, PictureDecoder
from pipeline.media.layout import read_layout
from pipeline.media.picture import Picture

MAX_LOST_TAIL_S = 1.0
"""More than this of packets at the end without a frame, and without a packet that failed, is a
broken file."""


def read_video_clock(path: Path) -> VideoClock:
    """Read the presentation time of each frame; only the first one is decoded.

    Raises:
        DecodeError: no video stream, or none of its frames decodes.
        MediaError: as `read_layout`.
    """
    return read_layout(path).require_clock()


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


def grid_frames(path: Path, threads: int = 1, damage: Damage | None = None) -> Iterator[GridFrame]:
    """Yield frame 0, 1, ... of the 25 fps grid, decoding each source frame once.

    A repeated grid frame costs nothing: it is the same array. The pixels do not depend on
    `threads`. Memory holds as many frames as the stream has B-frames in a row, and two.

    Args:
        threads: threads of the decoder; 0 lets FFmpeg choose. Which frames are damaged is exact
            with 1 only.
        damage: counts bad packets and damaged frames.

    Raises:
        DecodeError: no picture is whole, or decoding ends long before the packets do.
        MediaError: as `read_layout`.
    """
    layout = read_layout(path)
    clock = layout.require_clock()
    with open_media(path) as container:
        decoder = PictureDecoder(container, layout, damage)
        decoder.video.codec_context.thread_count = threads
        picture = Picture(decoder.video, layout.size)
        whole = False
        for shown in _on_grid(timed_frames(decoder, clock), clock, decoder):
            image = picture.rgb(shown.frame)
            image.flags.writeable = False
            whole |= shown.first < shown.damaged_from
            for number in range(shown.first, shown.end):
                held = max(0, number - shown.first + 1 - clock.usual_grid_frames)
                yield GridFrame(image, number >= shown.damaged_from, held)
    if not whole:
        raise DecodeError("not one frame of the video track is free of damage")


def frames_at_25fps(path: Path, threads: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of `grid_frames`, (H, W, 3) uint8 RGB, read-only.

    Raises:
        As `grid_frames`.
    """
    return (frame.image for frame in grid_frames(path, threads))


def timed_frames(decoder: PictureDecoder, clock: VideoClock) -> Iterator[tuple[int, Decoded]]:
    """Yield (presentation time in the stream's units, picture), the times strictly increasing.

    A frame with the same or an earlier time than its predecessor is never shown, as in a player.

    Raises:
        DecodeError: decoding ends long before the packets do, and no packet failed there.
    """
    last = clock.start - 1
    step = max(1, clock.usual)
    for index, decoded in enumerate(decoder):
        place = index + decoder.lost_frames
        time = _time_of(place, decoded.frame, clock, last + step)
        if time > last:
            yield time, decoded
            last = time
    end = int(clock.timestamps[-1])
    lost_s = float((end - last) * clock.time_base)
    if lost_s > MAX_LOST_TAIL_S and decoder.taint.lost_between(last, end + 1) is None:
        raise DecodeError(f"the last {lost_s:.2f} s of the picture do not decode")


def _time_of(index: int, frame: av.VideoFrame, clock: VideoClock, otherwise: int) -> int:
    if clock.by_order:
        known = index < len(clock.timestamps)
        return int(clock.timestamps[index]) if known else otherwise
    return otherwise if frame.pts is None else frame.pts


@dataclass(frozen=True, slots=True)
class _Shown:
    """A source frame, and the grid frames [first, end) that show it."""

    frame: av.VideoFrame
    first: int
    end: int
    damaged_from: int
    """First grid frame in which a damaged picture is, or belongs."""


def _on_grid(
    frames: Iterator[tuple[int, Decoded]], clock: VideoClock, decoder: PictureDecoder
) -> Iterator[_Shown]:
    """Yield each source frame that the grid shows."""
    first, previous = 0, next(frames, None)
    while previous is not None:
        following = next(frames, None)
        end, until = clock.num_frames, clock.end
        if following is not None:
            until = following[0]
            end = min(clock.first_grid_frame(previous[0], until), end)
        if end > first:
            damaged_from = _damaged_from(previous, until, clock, decoder)
            yield _Shown(previous[1].frame, first, end, max(first, min(damaged_from, end)))
            first = end
        previous = following


def _damaged_from(
    shown: tuple[int, Decoded], until: int, clock: VideoClock, decoder: PictureDecoder
) -> int:
    """Return the first grid frame in which a damaged picture is shown, or belongs."""
    time, decoded = shown
    if decoded.damaged:
        return 0
    lost = decoder.taint.lost_between(time, until)
    return clock.num_frames if lost is None else clock.first_grid_frame(time, lost)
