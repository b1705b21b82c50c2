"""Facts about one file, by reading its packets; only the first frame of each kind is decoded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from pipeline.errors import DecodeError, NotMediaError
from pipeline.media.clock import VideoClock, read_clock
from pipeline.media.container import (
    audio_stream,
    decode_stream,
    open_media,
    require_audio,
    require_video,
    video_stream,
)
from pipeline.media.picture import display_matrix, displayed_size, rotation_deg

_INDEXED = frozenset({"mp4", "matroska", "avi", "flv", "asf"})
"""Containers whose header states the duration; for the others FFmpeg estimates it."""
CUT_OFF_S = 1.0
CUT_OFF_SHARE = 0.05
"""The file is truncated where packets end earlier than the header states by more than both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The columns of `pipeline.tables.rows.Video` on a file's content; same names and units."""

    container: str
    duration_s: float = 0.0
    num_frames: int = 0
    average_fps: float = 0.0
    real_fps: float = 0.0
    variable_fps: bool = False
    width: int = 0
    """Of the picture as displayed: square pixels, rotation applied."""
    height: int = 0
    rotation_deg: int = 0
    """Clockwise rotation from stored to displayed: 0, 90, 180 or 270."""
    video_codec: str = ""
    pixel_format: str = ""
    audio_codec: str = ""
    audio_rate_hz: int = 0
    audio_channels: int = 0
    video_start_s: float = 0.0
    audio_start_s: float = 0.0


@dataclass(slots=True)
class _PacketCounter:
    """End time and number of audio packets, counted while demuxing."""

    end_s: float = 0.0
    audio_packets: int = 0

    def count(self, packets: "Iterator[av.Packet[Any]]") -> "Iterator[av.Packet[Any]]":
        for packet in packets:
            time = packet.pts if packet.pts is not None else packet.dts
            if packet.size and time is not None:
                end = (time + (packet.duration or 0)) * packet.time_base
                self.end_s = max(self.end_s, float(end))
            self.audio_packets += bool(packet.size) and packet.stream.type == "audio"
            yield packet


def probe(path: Path) -> Probe:
    """Measure one file. An hour takes seconds: packets are read, not decoded.

    `video_codec` is empty where there is no video stream (cover art is none), and
    `audio_codec` where there is no audio stream or it has no packet.

    Raises:
        EmptyFileError, NotMediaError, UnreadableError: as `open_media`.
        DecodeError: the data end before the header says, the video has no frame or not one
            frame decodes, or its timestamps jump.
    """
    with open_media(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        streams = [stream for stream in (video, audio) if stream is not None]
        if not streams:
            raise NotMediaError("the container holds neither picture nor sound")
        counter = _PacketCounter()
        packets = counter.count(container.demux(streams))
        clock = read_clock(container, video, packets) if video else None
        for _ in packets:  # without video: only count
            pass
        _refuse_cut_off(path, container, streams, counter.end_s)
        name = container.format.name
    sound = _sound(path) if audio and counter.audio_packets else {}
    picture = _picture(path, clock) if clock else {}
    return Probe(container=name, **picture, **sound)


def _refuse_cut_off(
    path: Path, container: InputContainer, streams: Sequence[av.stream.Stream], end_s: float
) -> None:
    size = path.stat().st_size
    for stream in streams:
        missing = sum(1 for entry in stream.index_entries if entry.pos + entry.size > size)
        if missing:
            raise DecodeError(
                f"cut off: {missing} of {len(stream.index_entries)} {stream.type} packets lie "
                f"behind the end of the file, the last readable one ends at {end_s:.2f} s"
            )
    if not _INDEXED & set(container.format.name.split(",")) or not container.duration:
        return
    claimed_s = float(Fraction(container.duration + (container.start_time or 0), av.time_base))
    if claimed_s - end_s > max(CUT_OFF_S, CUT_OFF_SHARE * claimed_s):
        raise DecodeError(f"cut off: packets end at {end_s:.2f} s of {claimed_s:.2f} s")


def _picture(path: Path, clock: VideoClock) -> dict[str, Any]:
    with open_media(path) as container:
        video = require_video(container)
        frame = next(decode_stream(container, video), None)
        if frame is None:
            raise DecodeError("not one frame of the video track decodes")
        codec, (width, height) = video.codec_context.name, displayed_size(video, frame)
    gap = clock.typical_gap() * clock.time_base
    average = len(clock.timestamps) / clock.duration_s
    return {
        "duration_s": clock.duration_s,
        "num_frames": clock.num_frames,
        "average_fps": average,
        "real_fps": float(1 / gap) if gap else average,
        "variable_fps": clock.is_variable(),
        "width": width,
        "height": height,
        "rotation_deg": rotation_deg(display_matrix(frame)),
        "video_codec": codec,
        "pixel_format": frame.format.name,
        "video_start_s": clock.start_s,
    }


def _sound(path: Path) -> dict[str, Any]:
    """Take rate, layout and start from a decoded frame: the header of HE-AAC states half the rate.

    The start is that of the first audible sample; the encoder's priming is left out.
    """
    with open_media(path) as container:
        audio = require_audio(container)
        frame = next(decode_stream(container, audio), None)
        codec = audio.codec_context.name
        header_start_s = float((audio.start_time or 0) * (audio.time_base or 0))
    if frame is None:
        raise DecodeError("not one packet of the sound decodes")
    return {
        "audio_codec": codec,
        "audio_rate_hz": frame.sample_rate,
        "audio_channels": len(frame.layout.channels),
        "audio_start_s": header_start_s if frame.time is None else frame.time,
    }
