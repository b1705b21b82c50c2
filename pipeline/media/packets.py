"""All packets of a file, read once without decoding: times, key frames, marks of damage."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from pipeline.media.h264 import FrameNumbers
from pipeline.media.nal_units import holds_zeros, length_size
from pipeline.media.sizes import size_mark

NONE = -(2**63)
"""Stands for a timestamp that the container does not store."""


@dataclass(slots=True)
class TrackPackets:
    """The packets of one stream in file order; those of no bytes are left out.

    The i-th packet of a stream is `number` i everywhere.
    """

    pts: "array[int]" = field(default_factory=lambda: array("q"))
    dts: "array[int]" = field(default_factory=lambda: array("q"))
    durations: "array[int]" = field(default_factory=lambda: array("q"))
    places: "array[int]" = field(default_factory=lambda: array("q"))
    """Number of each packet among those of all streams."""
    discarded: list[int] = field(default_factory=list)
    """Packets outside of an edit list: decoded, never shown."""
    first_shown: tuple[int | None, int] | None = None
    """Position in the file and pts of the first packet inside of the edit list."""
    keys: list[int] = field(default_factory=list)
    suspect: list[int] = field(default_factory=list)
    """Packets that the container marks as damaged, or before which a reference is missing."""
    size_changes: list[int] = field(default_factory=list)
    """Key frames whose header was not seen before; the first one included."""

    codec: str = ""
    """FFmpeg's name of the format of a picture; empty for sound."""

    def __len__(self) -> int:
        return len(self.pts)

    def ordered(self) -> tuple[NDArray[np.int64], bool]:
        """Return (N,) decoding times where all are stored, and True; else those of display."""
        dts = np.array(self.dts, np.int64)
        complete = bool((dts != NONE).all())
        return (dts, True) if complete else (np.array(self.pts, np.int64), False)

    def shown(self, shifts: NDArray[np.int64]) -> "PacketTimes":
        """Return the times of the packets that are shown.

        Args:
            shifts: (N,) ticks to add to the times of each packet.
        """
        kept = np.setdiff1d(np.arange(len(self)), self.discarded)
        pts, dts = (np.array(stored, np.int64)[kept] for stored in (self.pts, self.dts))
        durations = np.array(self.durations, np.int64)[kept]
        return PacketTimes(_moved(pts, shifts[kept]), _moved(dts, shifts[kept]), durations)


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """Of packets that are shown, (N,) each, in ticks; None where not all are stored."""

    pts: NDArray[np.int64] | None
    dts: NDArray[np.int64] | None
    durations: NDArray[np.int64]


def _moved(times: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.int64] | None:
    return times + shifts if (times != NONE).all() else None


class _Reader:
    """Collects the packets of one stream."""

    def __init__(self, stream: av.VideoStream | av.AudioStream) -> None:
        self.found = TrackPackets()
        context = stream.codec_context
        pictures = context is not None and stream.type == "video"
        self._codec = context.codec.canonical_name if pictures else ""
        self._extradata = context.extradata if pictures else None
        self.found.codec = self._codec
        self._marks: set[bytes] = set()
        self._numbers = FrameNumbers(self._extradata) if self._codec == "h264" else None

    def add(self, packet: "av.Packet[Any]", place: int) -> None:
        found, number = self.found, len(self.found)
        found.pts.append(NONE if packet.pts is None else packet.pts)
        found.dts.append(NONE if packet.dts is None else packet.dts)
        found.durations.append(packet.duration or 0)
        found.places.append(place)
        if packet.is_discard:
            found.discarded.append(number)
        elif found.first_shown is None and packet.pts is not None:
            found.first_shown = (packet.pos, packet.pts)
        if self._codec:
            self._add_picture(packet, number)

    def _add_picture(self, packet: "av.Packet[Any]", number: int) -> None:
        found, key = self.found, packet.is_keyframe
        if key:
            found.keys.append(number)
            mark = size_mark(self._codec, self._extradata, packet)
            if mark not in self._marks:
                self._marks.add(mark)
                found.size_changes.append(number)
        if packet.is_corrupt or self._is_zeroed(packet):
            found.suspect.append(number)
        elif self._numbers is not None and self._numbers.misses_reference(memoryview(packet)):
            found.suspect.append(max(0, number - key))  # a key frame itself needs no reference

    def _is_zeroed(self, packet: "av.Packet[Any]") -> bool:
        lengths = length_size("hevc", self._extradata) if self._codec == "hevc" else 0
        return lengths > 0 and holds_zeros(memoryview(packet), lengths)


def read_packets(container: InputContainer) -> Mapping[int, TrackPackets]:
    """Read the packets of all tracks of picture and sound; by index of the stream."""
    streams: list[av.VideoStream | av.AudioStream]
    streams = [*container.streams.video, *container.streams.audio]
    readers = {stream.index: _Reader(stream) for stream in streams}
    place = 0
    for packet in container.demux(streams) if streams else ():  # no stream asked for is all
        if packet.size:
            readers[packet.stream_index].add(packet, place)
            place += 1
    return {index: reader.found for index, reader in readers.items()}
