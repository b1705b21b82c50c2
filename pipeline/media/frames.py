"""Frames of a video at 25 fps by presentation time, as displayed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.clock import VideoClock
from pipeline.media.container import open_media
from pipeline.media.decoding import Damage, Decoded, PictureDecoder
from pipeline.media.film_picture import FilmPicture
from pipeline.media.layout import Layout, read_layout
from pipeline.media.picture import Picture
from pipeline.media.transitions import Span
from pipeline.tables.rows import FPS

MAX_LOST_TAIL_S = 1.0
"""More than this of packets at the end without a frame, and without a packet that failed, is a
broken file."""
Watch = Callable[[int, FilmPicture], None]
"""Is given the presentation time, in the stream's units, and the picture of every source frame."""
FILMS_KEPT = 3
"""Source frames between the decoder and the grid, which looks one frame ahead."""


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

    image: NDArray[np.uint8] | FilmPicture
    """As displayed, read-only: repeated grid frames share one object. (H, W, 3) RGB, or planes."""
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
    for shown, picture, clock in _shown_frames(path, threads, damage):
        yield from _repeated(picture.rgb(shown.frame), shown, clock)


def film_frames(
    path: Path,
    watch: Watch | None = None,
    span: Span | None = None,
    margin: int = 0,
) -> Iterator[GridFrame]:
    """Yield the same frames as `grid_frames`, each as a FilmPicture, which converts nothing.

    Args:
        watch: is given every source frame, skipped by the grid or not, before one shows it.
        span: [first, end) of the grid frames to yield; all if None. Nothing long before is decoded.
        margin: grid frames before and behind the span that `watch` is given, too.

    Raises:
        As `grid_frames`; a span that is all damage is no error.
    """
    films: dict[int, FilmPicture] = {}

    def watched(time: int, picture: Picture, frame: av.VideoFrame) -> None:
        films[time] = picture.film(frame)
        if len(films) > FILMS_KEPT:
            del films[min(films)]
        if watch:
            watch(time, films[time])

    for shown, _, clock in _shown_frames(path, 1, None, watched, span, margin):
        yield from _repeated(films[shown.time], shown, clock, span)


def _repeated(
    image: NDArray[np.uint8] | FilmPicture,
    shown: "_Shown",
    clock: VideoClock,
    span: Span | None = None,
) -> Iterator[GridFrame]:
    first, end = span or (0, clock.num_frames)
    for number in range(max(first, shown.first), min(end, shown.end)):
        held = max(0, number - shown.first + 1 - clock.usual_grid_frames)
        yield GridFrame(image, number >= shown.damaged_from, held)


def _shown_frames(
    path: Path,
    threads: int,
    damage: Damage | None,
    watch: Callable[[int, Picture, av.VideoFrame], None] | None = None,
    span: Span | None = None,
    margin: int = 0,
) -> Iterator[tuple["_Shown", Picture, VideoClock]]:
    layout = read_layout(path)
    clock = layout.require_clock()
    first, end = span or (0, clock.num_frames)
    key = _key_before(path, layout, clock, first - margin) if first > margin else 0
    with open_media(path) as container:
        decoder = PictureDecoder(container, layout, damage, key)
        decoder.video.codec_context.thread_count = threads
        picture = Picture(decoder.video, layout.size)

        def timed() -> Iterator[tuple[int, Decoded]]:
            for time, decoded in timed_frames(decoder, clock):
                if watch:
                    watch(time, picture, decoded.frame)
                yield time, decoded

        whole = span is not None
        for shown in _on_grid(timed(), clock, decoder):
            whole |= shown.first < shown.damaged_from
            yield shown, picture, clock
            if shown.first >= end + margin:
                break
    if not whole:
        raise DecodeError("not one frame of the video track is free of damage")


def _key_before(path: Path, layout: Layout, clock: VideoClock, frame: int) -> int:
    """Return the packet of a key frame from which on all is shown that a grid frame needs.

    0 where the last one before does not do: it does not decode, or it is none (intra refresh).
    """
    assert layout.video is not None
    index = layout.video.track.index
    packets, shift = layout.packets[index], layout.shifts[index].of(0)
    latest = clock.start + int(Fraction(frame - 1, FPS) / clock.time_base)
    key = max((n for n in packets.keys if packets.pts[n] + shift <= latest), default=0)
    return key if key and _leads_to(path, layout, clock, key, frame) else 0


def _leads_to(path: Path, layout: Layout, clock: VideoClock, key: int, frame: int) -> bool:
    with open_media(path) as container:
        decoder = PictureDecoder(container, layout, None, key)
        decoder.video.codec_context.thread_count = 1
        for time, decoded in timed_frames(decoder, clock):
            whole = decoded.frame.key_frame and not decoded.damaged
            return whole and first_shown(time, clock) <= frame
    return False


def frames_at_25fps(path: Path, threads: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of `grid_frames`, (H, W, 3) uint8 RGB, read-only.

    Raises:
        As `grid_frames`.
    """
    for shown, picture, _ in _shown_frames(path, threads, None):
        yield from repeat(picture.rgb(shown.frame), shown.end - shown.first)


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

    time: int
    """Presentation time in the stream's units."""
    frame: av.VideoFrame
    first: int
    end: int
    damaged_from: int
    """First grid frame in which a damaged picture is, or belongs."""


def _on_grid(
    frames: Iterator[tuple[int, Decoded]], clock: VideoClock, decoder: PictureDecoder
) -> Iterator[_Shown]:
    """Yield each source frame that the grid shows."""
    previous = next(frames, None)
    first = 0 if previous is None else first_shown(previous[0], clock)
    while previous is not None:
        following = next(frames, None)
        end, until = clock.num_frames, clock.end
        if following is not None:
            until = following[0]
            end = min(clock.first_grid_frame(previous[0], until), end)
        if end > first:
            damaged_from = _damaged_from(previous, until, clock, decoder)
            damaged_from = max(first, min(damaged_from, end))
            yield _Shown(previous[0], previous[1].frame, first, end, damaged_from)
            first = end
        previous = following


def first_shown(time: int, clock: VideoClock) -> int:
    """Return the first grid frame that shows the source frame of a presentation time."""
    at = int(np.searchsorted(clock.timestamps, time))
    return 0 if at == 0 else clock.first_grid_frame(int(clock.timestamps[at - 1]), time)


def _damaged_from(
    shown: tuple[int, Decoded], until: int, clock: VideoClock, decoder: PictureDecoder
) -> int:
    """Return the first grid frame in which a damaged picture is shown, or belongs."""
    time, decoded = shown
    if decoded.damaged:
        return 0
    lost = decoder.taint.lost_between(time, until)
    return clock.num_frames if lost is None else clock.first_grid_frame(time, lost)
