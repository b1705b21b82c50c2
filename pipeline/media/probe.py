"""Facts about one file, by reading its packets; only the first frame of each kind is decoded."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.errors import DecodeError, NotMediaError
from pipeline.media.container import open_media
from pipeline.media.decoding import decode_sound
from pipeline.media.layout import Layout, read_layout
from pipeline.media.picture import display_matrix, displayed_size, rotation_deg
from pipeline.media.remarks import remarks

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
    video_tracks: int = 0
    """Tracks of moving pictures; cover art is none."""
    video_track: int = 0
    """Number of the one that is used, from 1; 0 = none."""
    audio_tracks: int = 0
    audio_track: int = 0
    clock_restarts_s: list[float] = field(default_factory=list)
    """Where the timestamps of the file jump to another clock, in s behind the first frame."""
    suspect_packets: int = 0
    """Packets of the picture that the container marks as damaged, or (H.264) before which a
    reference picture is missing."""
    remarks: list[str] = field(default_factory=list)
    """What else is in the file, or odd about it, in plain words."""


def probe(path: Path) -> Probe:
    """Measure one file. An hour takes seconds: packets are read, not decoded.

    `video_codec` is empty where there is no video stream (cover art is none), and
    `audio_codec` where there is no audio stream or it has no packet.

    Raises:
        EmptyFileError, NotMediaError, UnreadableError: as `open_media`.
        DecodeError: the data end before the header says, the video has no frame or not one
            frame decodes, or its timestamps jump.
        ClockRestartsError: picture and sound lie on clocks that cannot be joined.
    """
    layout = read_layout(path)
    if layout.video is None and not layout.sounds:
        raise NotMediaError("the container holds neither picture nor sound")
    _refuse_cut_off(path, layout)
    return Probe(
        container=layout.container,
        **_picture(path, layout),
        **_sound(path, layout),
        remarks=remarks(path, layout),
    )


def _refuse_cut_off(path: Path, layout: Layout) -> None:
    size = path.stat().st_size
    with open_media(path) as container:
        for stream in layout.used(container):
            missing = sum(1 for entry in stream.index_entries if entry.pos + entry.size > size)
            if missing:
                raise DecodeError(
                    f"cut off: {missing} of {len(stream.index_entries)} {stream.type} packets lie "
                    "behind the end of the file, the last readable one ends at "
                    f"{layout.end_s:.2f} s"
                )
        if not _INDEXED & set(container.format.name.split(",")) or not container.duration:
            return
        claimed = Fraction(container.duration + (container.start_time or 0), av.time_base)
    if claimed - layout.end_s > max(CUT_OFF_S, CUT_OFF_SHARE * claimed):
        raise DecodeError(f"cut off: packets end at {layout.end_s:.2f} s of {float(claimed):.2f} s")


def _picture(path: Path, layout: Layout) -> dict[str, Any]:
    if layout.video is None or layout.clock is None:
        return {}
    clock, packets = layout.clock, layout.packets[layout.video.track.index]
    with open_media(path) as container:
        video = layout.picture(container)
        frame = layout.first_frame(container)
        codec, (width, height) = video.codec_context.name, displayed_size(video, frame, layout.size)
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
        "video_tracks": layout.video.of,
        "video_track": layout.video.number,
        "clock_restarts_s": [one.at_s - clock.start_s for one in layout.restarts],
        "suspect_packets": len(packets.suspect),
    }


def _sound(path: Path, layout: Layout) -> dict[str, Any]:
    """Take rate, layout and start from a decoded frame: the header of HE-AAC states half the rate.

    The start is that of the first audible sample; the encoder's priming is left out.
    """
    if layout.audio is None:
        return {}
    with open_media(path) as container:
        audio = layout.sound(container)
        frame, _ = next(decode_sound(container, layout))
        codec = audio.codec_context.name
        header_start_s = float((audio.start_time or 0) * (audio.time_base or 0))
    return {
        "audio_codec": codec,
        "audio_rate_hz": frame.sample_rate,
        "audio_channels": len(frame.layout.channels),
        "audio_start_s": header_start_s if frame.time is None else frame.time,
        "audio_tracks": layout.audio.of,
        "audio_track": layout.audio.number,
    }
