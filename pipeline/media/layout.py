"""What one pass over the packets of a file tells, decided once for all who read it.

Every reader of pictures or sound (`probe`, shots, frames, excerpts, audio) asks `read_layout` which
track to read and what to add to its timestamps, so that none can differ from another.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from pipeline.errors import DecodeError
from pipeline.media.clock import VideoClock, make_clock
from pipeline.media.container import check_readable, open_media
from pipeline.media.edit_list import first_picture_shift
from pipeline.media.losses import losses_by_time
from pipeline.media.packets import NONE, TrackPackets, read_packets
from pipeline.media.restarts import Restart, Shifts, TimedTrack, find_restarts
from pipeline.media.silence import is_audible
from pipeline.media.sizes import largest_size
from pipeline.media.tracks import ChosenTrack, Track, choose_audio, choose_video
from pipeline.tables.rows import FPS

KEPT_LAYOUTS = 4
"""Layouts that a process remembers: the stages of one file follow each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The tracks of a file that are used, and their time."""

    container: str
    video: ChosenTrack | None
    audio: ChosenTrack | None
    clock: VideoClock | None = None
    """Of the picture, in the joined time; None without one."""
    size: tuple[int, int] = (0, 0)
    """Largest (width, height) of the stored pictures."""
    size_changes: bool = False
    """The stored pictures may differ in size."""
    pictures: int = 0
    """Streams of pictures, cover art included."""
    sounds: int = 0
    """Streams of sound, empty ones included."""
    packets: Mapping[int, TrackPackets]
    shifts: Mapping[int, Shifts]
    """What joins the timestamps of the used tracks to one time, by index of the stream."""
    restarts: Sequence[Restart] = ()
    end_s: float = 0.0
    """When the last packet of the used tracks ends, as stored."""

    def require_clock(self) -> VideoClock:
        """Return the clock of the picture; DecodeError where there is none."""
        if self.clock is None:
            raise DecodeError("no video stream")
        return self.clock

    def picture(self, container: InputContainer) -> av.VideoStream:
        """Return the stream that is the film in an opened file; DecodeError where there is none."""
        if self.video is None:
            raise DecodeError("no video stream")
        stream = container.streams[self.video.track.index]
        assert isinstance(stream, av.VideoStream)
        return stream

    def sound(self, container: InputContainer) -> av.AudioStream:
        """Return the stream that is the sound in an opened file; DecodeError without one."""
        if self.audio is None:
            raise DecodeError("no audio stream")
        stream = container.streams[self.audio.track.index]
        assert isinstance(stream, av.AudioStream)
        return stream

    def used(self, container: InputContainer) -> list[av.VideoStream | av.AudioStream]:
        """Return the streams in an opened file that are read."""
        picture = [self.picture(container)] if self.video else []
        return [*picture, *([self.sound(container)] if self.audio else [])]

    def first_frame(self, container: InputContainer) -> av.VideoFrame:
        """Decode the first picture of an opened file; DecodeError where none decodes."""
        video = self.picture(container)
        if video.codec_context is None:
            raise DecodeError("no decoder for the video stream")
        for _, packet in self.shifted(container, video):
            with suppress(av.FFmpegError):  # what comes before the first whole picture may fail
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame)
                    return frame
        raise DecodeError("not one frame of the video track decodes")

    def shifted(
        self, container: InputContainer, stream: av.VideoStream | av.AudioStream
    ) -> "Iterator[tuple[int, av.Packet[Any]]]":
        """Yield (number, packet) of one stream from the beginning, its times joined to one."""
        shifts, number = self.shifts[stream.index], -1
        for packet in container.demux(stream):
            number += packet.size > 0
            move(packet, shifts.of(max(number, 0)))
            yield number, packet

    def shifted_from(
        self, container: InputContainer, stream: av.VideoStream, key: int
    ) -> "Iterator[tuple[int, av.Packet[Any]]]":
        """Yield as `shifted` does, from the key frame `key` on or from one before it.

        From the beginning where the file does not lead to a key frame that is known.
        """
        found, shifts = self.packets[stream.index], self.shifts[stream.index]
        stored = [time for time in (found.dts[key], found.pts[key]) if time != NONE]
        container.seek(min(stored, default=0), stream=stream, backward=True)
        packets = container.demux(stream)
        first = next(packets)
        numbers = [n for n in found.keys if n <= key and found.pts[n] == first.pts]
        if not numbers or not first.size:
            container.seek(0, stream=stream, backward=True)
            yield from self.shifted(container, stream)
            return
        number = numbers[-1] - 1
        for packet in chain([first], packets):
            number += packet.size > 0
            move(packet, shifts.of(max(number, 0)))
            yield number, packet


def move(packet: "av.Packet[Any]", ticks: int) -> None:
    """Add ticks to both times of a packet."""
    if ticks and packet.size:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks


def read_layout(path: Path) -> Layout:
    """Read all packets of a file and decide on its tracks; an unchanged file is read once.

    Raises:
        DecodeError: the picture holds no frame, none of them decodes, or its times are absurd.
        ClockRestartsError: as `find_restarts`.
        MediaError: as `open_media`.
    """
    check_readable(path)
    found = path.stat()
    version = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    return _read(Path(os.path.abspath(path)), version)  # noqa: PTH100 (keeps symlinks)


@lru_cache(maxsize=KEPT_LAYOUTS)
def _read(path: Path, _version: tuple[int, ...]) -> Layout:
    with open_media(path) as container:
        packets = read_packets(container)
        layout = _chosen(path, container, packets)
    return layout if layout.video is None else _with_picture(path, layout, layout.video.track.index)


def _with_picture(path: Path, layout: Layout, index: int) -> Layout:
    found = layout.packets[index]
    if len(found) == len(found.discarded):
        raise DecodeError("the video track holds no frame")
    extra = first_picture_shift(path, index, found) if "mov" in layout.container else 0
    if extra:
        moved = replace(layout.shifts[index], ticks=[t + extra for t in layout.shifts[index].ticks])
        layout = replace(layout, shifts={**layout.shifts, index: moved})
    with open_media(path) as container:
        video = layout.picture(container)
        frame = layout.first_frame(container)
        times = found.shown(layout.shifts[index].each(len(found)))
        by_order = "avi" in layout.container or times.pts is None
        clock = make_clock(video, times, None if by_order else frame.pts)
        size = frame.width, frame.height
    if len(found.size_changes) > 1:
        with open_media(path) as container:
            largest = largest_size(container, layout.picture(container), found.size_changes)
        size = max(size[0], largest[0]), max(size[1], largest[1])
    joints = layout.shifts[index].starts[1:]
    losses = [] if by_order else losses_by_time(found, layout.shifts[index])
    suspect = {*found.suspect, *(n for n in (*joints, *losses) if n not in set(found.keys))}
    found.suspect[:] = sorted(suspect)
    changes = len(found.size_changes) > 1
    return replace(layout, clock=clock, size=size, size_changes=changes)


def _chosen(path: Path, container: InputContainer, packets: Mapping[int, TrackPackets]) -> Layout:
    pictures = [Track.of(s, len(packets[s.index])) for s in container.streams.video]
    sounds = [Track.of(s, len(packets[s.index])) for s in container.streams.audio]
    video = choose_video(pictures)
    audio = choose_audio(sounds, lambda track: is_audible(path, track.index))
    used = [one.track.index for one in (video, audio) if one is not None]
    tracks = {
        index: TimedTrack(packets[index], _base(container, index))
        for index in used
        if len(packets[index])
    }
    restarts, shifts = (
        find_restarts(tracks, video.track.index if video else None) if tracks else ([], {})
    )
    return Layout(
        container=container.format.name,
        video=video,
        audio=audio,
        pictures=len(pictures),
        sounds=len(sounds),
        packets={index: packets[index] for index in used},
        shifts=shifts,
        restarts=restarts,
        end_s=max((track.end_s for track in tracks.values()), default=0.0),
    )


def _base(container: InputContainer, index: int) -> Fraction:
    return Fraction(container.streams[index].time_base or Fraction(1, FPS))
