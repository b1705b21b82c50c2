"""The 25 fps frames of an interval, without decoding everything before it.

The pixels equal those of `frames_at_25fps`. Where a seek cannot guarantee that (no index of key
frames, no presentation times, a key frame that is none), the video is decoded from the start.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from pipeline.media.clock import VideoClock
from pipeline.media.container import decode_stream, open_media, require_video
from pipeline.media.frames import frames_at_25fps
from pipeline.media.picture import Picture, displayed_size
from pipeline.media.probe import Probe
from pipeline.tables.rows import FPS, Video

SEEKABLE = frozenset({"mp4", "matroska"})
"""Containers that list their key frames and store presentation times."""

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
        (H, W, 3) uint8 RGB as displayed, each the caller's own.

    Raises:
        DecodeError: a frame does not decode.
        MediaError: as `open_media`.
    """
    assert 0 <= start_frame < end_frame <= facts.num_frames, "the range lies inside the video"
    with open_media(path) as container:
        video = require_video(container)
        video.codec_context.thread_count = 1
        clock = _clock(facts, video)
        target = clock.start + int(Fraction(start_frame, FPS) / clock.time_base)
        frames = _from_key_frame(container, video, facts, target)
        if frames is not None:
            yield from _shown(frames, clock, Picture(video), start_frame, end_frame)
            return
    yield from islice(frames_at_25fps(path), start_frame, end_frame)


def _clock(facts: Probe | Video, video: av.VideoStream) -> VideoClock:
    """Return a clock that holds the start of the grid and the usual gap only."""
    base = Fraction(video.time_base or Fraction(1, FPS))
    start = round(facts.video_start_s / base)
    usual = round(1 / (facts.real_fps * float(base)))
    return VideoClock(base, np.array([start], np.int64), start, by_order=False, usual=usual)


def _from_key_frame(
    container: InputContainer,
    video: av.VideoStream,
    facts: Probe | Video,
    target: int,
) -> Iterator[Timed] | None:
    """Seek, and return the frames from a key frame on that is not later than `target`.

    None where the first frame after the seek is no complete image (periodic intra refresh), is
    later than `target`, or differs in size from the file's first frame.

    Args:
        target: the last tick that is not after the first requested grid frame.
    """
    if not SEEKABLE & set(container.format.name.split(",")):
        return None
    container.seek(target, stream=video, backward=True)
    frames = _increasing(decode_stream(container, video))
    first = next(frames, None)
    if first is None or first[0] > target or not first[1].key_frame:
        return None
    if displayed_size(video, first[1]) != (facts.width, facts.height):
        return None
    return chain([first], frames)


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
            rgb = picture.rgb(previous[1])
            for _ in range(shown, until):
                yield rgb.copy()
            shown = until
        if current is None or shown >= end_frame:
            return
        previous = current
