"""Pictures of a video at 25 fps by presentation time, as they are displayed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.clock import VideoClock, read_clock
from pipeline.media.container import decode_stream, open_media, require_video

EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
)
"""swscale without the shortcuts whose result depends on the processor."""
_UNSPECIFIED, _BT709, _BT470BG = 2, 1, 5
"""Numbers of ITU-T H.273, table 4 (matrix coefficients)."""
MAX_LOST_TAIL_S = 1.0
"""Packets at the end that yield no frame: more than this is a broken file."""


def read_video_clock(path: Path) -> VideoClock:
    """Read when each frame of a file is shown; only the first one is decoded.

    Raises:
        DecodeError: no video stream, or none of its frames decodes.
        MediaError: as `open_media`.
    """
    with open_media(path) as container:
        video = require_video(container)
        return read_clock(container, video, container.demux(video))


def frames_at_25fps(path: Path, threads: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Yield frame 0, 1, ... of the 25 fps grid, decoding each source frame once.

    Memory holds two frames, whatever the length. The pixels do not depend on `threads`.

    Args:
        threads: threads of the decoder; 0 lets FFmpeg choose.

    Yields:
        (H, W, 3) uint8 RGB, rotated and mirrored as the file asks; each array is the caller's own.

    Raises:
        DecodeError: a frame does not decode; the message says at which second.
        MediaError: as `open_media`.
    """
    clock = read_video_clock(path)
    with open_media(path) as container:
        video = require_video(container)
        video.codec_context.thread_count = threads
        picture = Picture()
        for frame, first, end in _on_grid(timed_frames(container, video, clock), clock):
            rgb = picture.rgb(frame)
            yield from (rgb.copy() for _ in range(first, end - 1))
            yield rgb


def timed_frames(
    container: InputContainer, video: av.VideoStream, clock: VideoClock
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (presentation time in the stream's units, frame), the times strictly increasing.

    A frame with the same or an earlier time than its predecessor is never shown, as in a player.

    Raises:
        DecodeError: frames do not decode, or decoding ends long before the packets do.
    """
    last = clock.start - 1
    step = max(1, round(clock.typical_gap()))
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


class Picture:
    """Turns decoded frames of one stream into RGB as displayed, all of the same size."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None

    def rgb(self, frame: av.VideoFrame, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB.

        The colour matrix is the stream's; where it names none, BT.601 up to 576 lines and BT.709
        above, as players do. Frames of another size than the first are scaled to it. High dynamic
        range is not tone-mapped.

        Args:
            size: (width, height) as stored, to scale to; that of the first frame if None.
        """
        self._size = self._size or size or (frame.width, frame.height)
        if frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb:
            frame.colorspace = _BT709 if frame.height > 576 else _BT470BG
        converted = self._reformatter.reformat(
            frame,
            width=self._size[0],
            height=self._size[1],
            format="rgb24",
            interpolation=EXACT,
            threads=1,
        )
        stored = np.asarray(converted.to_ndarray(), np.uint8)
        return np.ascontiguousarray(as_displayed(stored, display_matrix(frame)))


def display_matrix(frame: av.VideoFrame) -> NDArray[np.int32] | None:
    """Return the (2, 2) part of the display matrix that rotates and mirrors, or None."""
    sides: Mapping[Any, Any] = frame.side_data
    data = sides.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return None
    return np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2]


def as_displayed(image: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Rotate and mirror by multiples of 90 degrees, as a display matrix asks.

    Args:
        image: (H, W, 3) as stored.
        matrix: [[a, b], [c, d]] maps stored (x, y) to displayed (a x + c y, b x + d y), in the
            way of ISO/IEC 14496-12; other angles are taken for the nearest right one.
    """
    if matrix is None:
        return image
    (a, b), (c, d) = matrix.tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return image.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]


def rotation_deg(matrix: NDArray[np.int32] | None) -> int:
    """Return by how many degrees the display turns the stored picture clockwise: 0 to 270.

    The same number as the `rotate` tag of phones; mirroring is not part of it.
    """
    if matrix is None:
        return 0
    (a, b), (c, d) = matrix.tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return 180 if d < 0 else 0
    return 90 if b > 0 else 270
