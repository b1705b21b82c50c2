"""Clips as H.264: encoded once, trimmed later by copying packets.

The first `keyframes` frames are IDR frames and there are no forward references, so that any of them
can become the first frame of a shorter clip, and any frame the last, without re-encoding.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from pipeline.errors import DecodeError, StorageError
from pipeline.media.container import as_media_error, local_url, only_video, open_media
from pipeline.media.i420 import i420_of
from pipeline.media.picture import Picture
from pipeline.tables.rows import FPS

_MUXER = {"movflags": "+faststart", "fflags": "+bitexact", "video_track_timescale": "12800"}
_X264 = {
    "preset": "superfast",
    "profile": "high",
    "flags": "+bitexact+global_header+cgop",
    "forced-idr": "1",
    # cpu-independent: the same bytes on every processor, by x264's intra search without the SIMD
    # functions that judge nine directions at once, which not every processor has.
    "x264-params": "threads=1:bframes=0:scenecut=0:cpu-independent=1:open-gop=0:"
    # What costs time and little else at this quality is off.
    # cabac=0 makes every later decode cheaper too, by 40 %, for 7 % more bytes.
    "rc-lookahead=0:mbtree=0:weightp=0:cabac=0:subme=2:"
    # Bits where they lower the error: no adaptive quantiser, which takes them from the texture of
    # lips and teeth; key frames no finer than others; chroma as fine as x264's slow presets have it
    # (their offset is -2), fewer coefficients rounded to zero (x264's own dead zone is 21).
    "aq-mode=0:ipratio=1.0:chroma-qp-offset=-3:deadzone-inter=18",
}


KEYFRAMES = 16
"""The first frames of a clip, all IDR frames."""
GOP = 10
"""Distance of the IDR frames after those."""


def next_cut_frame(frame: int) -> int:
    """Return the first frame, not before `frame`, at which a clip can be cut (an IDR frame)."""
    if frame < KEYFRAMES:
        return max(0, frame)
    return KEYFRAMES - 1 + -(-(frame - KEYFRAMES + 1) // GOP) * GOP


def write_clip(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    crf: int,
    keyframes: int = KEYFRAMES,
    gop: int = GOP,
) -> int:
    """Encode 25 fps H.264 (yuv420p, BT.709 limited range) into an mp4; return the frame count.

    The bytes depend on the frames and the arguments only: one thread, no clock, no metadata. The
    text that x264 puts into the stream (its version and options) is taken out.

    Args:
        frames: (H, W, 3) uint8 RGB, or their planes (`I420`); H and W even.
        crf: x264's quality, 0 to 51; lower is better.
        keyframes: number of first frames that are IDR frames.
        gop: distance of the IDR frames after those.

    Raises:
        ValueError: no frame at all, or an odd size.
        StorageError: the disk is full or not writable.
    """
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError("a clip needs at least one frame")
    width, height = _size(first)
    if height % 2 or width % 2:
        raise ValueError(f"height and width must be even, not {(height, width)}")
    with _writing(path) as container:
        stream = _add_h264(container, width, height, crf, gop)
        drop_text = BitStreamFilterContext("filter_units=remove_types=6", stream)
        count = 0
        for count, picture in enumerate(chain([first], iterator), 1):
            frame = _frame(picture, count - 1)
            frame.pict_type = PictureType.I if count <= keyframes else PictureType.NONE
            _mux(container, chain.from_iterable(map(drop_text.filter, stream.encode(frame))))
        _mux(container, chain.from_iterable(map(drop_text.filter, stream.encode(None))))
    return count


def _add_h264(
    container: OutputContainer, width: int, height: int, crf: int, gop: int
) -> av.VideoStream:
    stream = container.add_stream("libx264", rate=FPS, options={**_X264, "crf": str(crf)})
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, FPS)
    stream.codec_context.gop_size = gop
    stream.codec_context.thread_count = 1
    stream.codec_context.color_range = ColorRange.MPEG
    stream.codec_context.colorspace = 1  # BT.709 in ITU-T H.273, as are the next two
    stream.codec_context.color_primaries = 1
    stream.codec_context.color_trc = 1
    return stream


def _frame(picture: NDArray[np.uint8], number: int) -> av.VideoFrame:
    """Return the frame of an (H, W, 3) RGB picture, or of its planes."""
    planes = i420_of(picture) if picture.ndim == 3 else picture
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _size(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Return (width, height)."""
    height = picture.shape[0] if picture.ndim == 3 else picture.shape[0] * 2 // 3
    return picture.shape[1], height


def _mux(container: OutputContainer, packets: Iterable["av.Packet[Any]"]) -> None:
    for packet in packets:
        if not packet.duration:
            packet.duration = 1
        container.mux(packet)


@contextmanager
def _writing(path: Path) -> Iterator[OutputContainer]:
    try:
        with av.open(local_url(path), "w", format="mp4", container_options=_MUXER) as container:
            yield container
    except OSError as error:  # includes FFmpeg's file system errors
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


def trim_clip(src: Path, dst: Path, first: int, count: int) -> None:
    """Copy frames first ... first + count - 1 of a clip of `write_clip`, without encoding.

    Raises:
        ValueError: `first` is no IDR frame, or the clip has fewer frames.
        StorageError: the disk is full or not writable.
    """
    with open_media(src) as container, _writing(dst) as output:
        video = only_video(container)
        stream = output.add_stream_from_template(video)
        packets = [packet for packet in container.demux(video) if packet.size]
        wanted = packets[first : first + count]
        if first < 0 or count < 1 or len(wanted) != count or not wanted[0].is_keyframe:
            raise ValueError(f"cannot cut [{first}, {first + count}) of {len(packets)} frames")
        start = wanted[0].pts or 0
        for packet in wanted:
            packet.stream = stream
            packet.pts = packet.dts = (packet.pts or 0) - start
            output.mux(packet)


def check_cut(src: Path, cut: Path, first: int, count: int) -> None:
    """Check without decoding that a file is frames first ... first + count - 1 of a clip.

    That is: the same parameter sets, the same packets byte for byte, the first a key frame, and
    frame k shown at k / 25 s.

    Raises:
        DecodeError: it is not.
        UnreadableError: the operating system refuses to read one of the files.
    """
    whole, part = _stored(src), _stored(cut)
    wanted = whole.packets[first : first + count]
    if part.parameters != whole.parameters or len(wanted) != count or part.packets != wanted:
        raise DecodeError(f"{cut.name} does not hold frames [{first}, {first + count}) of its clip")
    if not part.starts_with_key or part.times_s != [Fraction(k, FPS) for k in range(count)]:
        raise DecodeError(f"{cut.name} is not 25 fps from a key frame on")


@dataclass(frozen=True, slots=True)
class _Stored:
    parameters: bytes
    packets: list[bytes]
    times_s: list[Fraction | None]
    starts_with_key: bool


def _stored(clip: Path) -> _Stored:
    with open_media(clip) as container:
        video = only_video(container)
        packets = [packet for packet in container.demux(video) if packet.size]
        return _Stored(
            video.codec_context.extradata or b"",
            [bytes(packet) for packet in packets],
            [_time_s(packet) for packet in packets],
            bool(packets) and packets[0].is_keyframe,
        )


def _time_s(packet: "av.Packet[Any]") -> Fraction | None:
    """Return when the frame is decoded and shown; None where these differ or are not stated."""
    return None if packet.pts is None or packet.pts != packet.dts else packet.pts * packet.time_base


def whole_frames(clip: Path | bytes, num_frames: int | None = None) -> Iterator[av.VideoFrame]:
    """Yield the frames of a clip, and refuse what FFmpeg would paint over: the training's reader.

    Args:
        num_frames: that it must have; None: any number but 0.

    Raises:
        DecodeError: no video, a damaged frame, or another number of frames.
        UnreadableError: the operating system refuses to read the file.
    """
    with _reading(clip) as video:
        yield from _checked(video, num_frames)


def read_video(source: Path | bytes, num_frames: int | None = None) -> NDArray[np.uint8]:
    """Decode every stored frame of a clip: (T, H, W, 3) uint8 RGB, whatever their times.

    Raises:
        DecodeError, UnreadableError: as `whole_frames`, which reads them.
    """
    with _reading(source) as video:
        picture = Picture(video)
        return np.stack([picture.rgb(frame) for frame in _checked(video, num_frames)])


@contextmanager
def _reading(clip: Path | bytes) -> Iterator[av.VideoStream]:
    opened = io.BytesIO(clip) if isinstance(clip, bytes) else local_url(clip)
    try:
        with av.open(opened, "r", metadata_errors="replace") as container:
            video = only_video(container)
            video.thread_count = 1  # parallelism is by clips
            video.codec_context.options = {"err_detect": "explode"}  # else FFmpeg conceals damage
            yield video
    except av.FFmpegError as error:
        raise as_media_error(error, DecodeError, "clip") from error


def _checked(video: av.VideoStream, num_frames: int | None) -> Iterator[av.VideoFrame]:
    count = 0
    container = cast("InputContainer", video.container)
    for count, frame in enumerate(container.decode(video), 1):
        if frame.is_corrupt:
            raise DecodeError(f"frame {count - 1} is corrupt")
        if num_frames is not None and count > num_frames:
            raise DecodeError(f"more frames than the {num_frames} of its JSON")
        yield frame
    if not count:
        raise DecodeError("the clip holds no frame")
    if num_frames is not None and count != num_frames:
        raise DecodeError(f"{count} frames; its JSON says {num_frames}")
