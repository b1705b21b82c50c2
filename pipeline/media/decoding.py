"""Decodes the tracks of a file; a packet that does not decode costs its moment only.

A picture is damaged where its packet does not decode, where the decoder had to conceal something,
where a picture it refers to is missing, and from there on up to the next whole key frame.

What can be known depends on the codec. H.264 and MPEG-4 notice almost every altered byte, and lost
references of H.264 are counted (`media.h264`). HEVC notices lost references, VP8, VP9 and AV1 none:
a gap in otherwise regular timestamps is a loss there (`media.losses`). Altered bytes that still
decode are seen in the pictures of HEVC and VP8 (`media.torn`); in VP9 and AV1 they are not known.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain
from typing import Any

import av
from av.container import InputContainer

from pipeline.errors import DecodeError
from pipeline.media.layout import Layout
from pipeline.media.packets import NONE, TrackPackets
from pipeline.media.restarts import Shifts
from pipeline.media.torn import TornPictures

REORDERED = 16
"""Most frames that a decoder holds back to put them in order (H.264 and HEVC)."""
_LEAVES_OUT = frozenset({"hevc"})
"""Codecs whose decoder silently leaves out a picture without its references."""


@dataclass(slots=True)
class Damage:
    """Counts what does not decode. Hand one in, read it afterwards."""

    bad_packets: int = 0
    """Packets of picture or sound behind the first good one that do not decode."""
    damaged_frames: int = 0
    """Source frames that are delivered and marked as damaged."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One picture in the order of presentation."""

    frame: av.VideoFrame
    number: int
    """Of its packet."""
    damaged: bool


class Taint:
    """Which packets of a video hold damaged pictures, as far as known until now."""

    def __init__(self, packets: TrackPackets, shifts: Shifts) -> None:
        self._packets, self._shifts = packets, shifts
        self._bad: list[int] = []
        self._lost: list[int] = []
        for number in packets.suspect:
            self.add(number, lost=False)

    def add(self, number: int, lost: bool) -> None:
        """Note a packet whose picture is damaged; `lost` if the decoder gives none for it."""
        at, leads = self._key_of(number)
        insort(self._bad, self._packets.keys[at] - 1 if leads else number)
        if lost and number < len(self._packets):
            pts, dts = self._packets.pts[number], self._packets.dts[number]
            insort(self._lost, (dts if pts == NONE else pts) + self._shifts.of(number))

    def __contains__(self, number: int) -> bool:
        """Return whether a packet, or one that it may refer to, is damaged."""
        if not self._bad:
            return False
        at, leads = self._key_of(number)
        keys = self._packets.keys
        if leads and self._any_bad(keys[at - 1], keys[at] - 1):
            return True
        return self._any_bad(keys[at] if at >= 0 else 0, number)

    def _key_of(self, number: int) -> tuple[int, bool]:
        """Return which key frame a packet follows, -1 for none, and whether it leads.

        A leading picture is shown before the key frame that it follows in the file: it refers to
        pictures on both sides, and nothing behind the key frame refers to it.
        """
        keys, pts = self._packets.keys, self._packets.pts
        at = bisect_right(keys, number) - 1
        known = at > 0 and number < len(pts)
        return at, known and pts[number] < pts[keys[at]]

    def _any_bad(self, first: int, last: int) -> bool:
        at = bisect_left(self._bad, first)
        return at < len(self._bad) and self._bad[at] <= last

    def lost_between(self, begin: int, end: int) -> int | None:
        """Return the first time of a picture without frame in (begin, end), in joined ticks."""
        at = bisect_right(self._lost, begin)
        return self._lost[at] if at < len(self._lost) and self._lost[at] < end else None


class PictureDecoder:
    """Yields the pictures of the film in an opened file, each marked if it is damaged.

    A picture may refer to one that is shown after it, whose damage is known only when that one is
    delivered. So pictures wait until everything that was decoded before them is delivered.

    Raises:
        DecodeError: there is no decoder.
    """

    def __init__(
        self,
        container: InputContainer,
        layout: Layout,
        damage: Damage | None = None,
        first_key: int = 0,
    ) -> None:
        """Prepare the decoder.

        Args:
            first_key: number of the packet of a key frame, from which on pictures are decoded.
        """
        self._first_key = first_key
        self.video = layout.picture(container)
        self._container, self._layout = container, layout
        packets = layout.packets[self.video.index]
        self.taint = Taint(packets, layout.shifts[self.video.index])
        self._damage = damage or Damage()
        self._discarded = set(packets.discarded)
        self._waiting: deque[tuple[av.VideoFrame, int]] = deque()
        self._done: set[int] = set()
        self._first_open = 0
        """Every packet before this one is delivered, lost or never shown."""
        self._started = False
        self._torn = TornPictures(packets.codec)
        self._due: list[tuple[int, int]] = []
        """Heap of (pts, number) of packets whose picture is still to come."""
        self._counted = packets.codec in _LEAVES_OUT
        self._stuck_by_errors = packets.codec == "av1"
        self._whole = True
        """The picture delivered last is not damaged."""
        self.lost_frames = 0
        """Packets behind the first picture that gave none."""
        _prepare(self.video)

    def __iter__(self) -> Iterator[Decoded]:
        for number, packet in self._packets():
            if packet.size:
                packet.opaque = number
                if self._counted and packet.pts is not None and number not in self._discarded:
                    heappush(self._due, (packet.pts, number))
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._note_failure(number)
                self._start_anew()
                frames = []
            if number in self._discarded:
                self._done.add(number)
            for frame in frames:
                assert isinstance(frame, av.VideoFrame)
                self._note_frame(frame, number)
            yield from self._released(everything=not packet.size)

    def _packets(self) -> "Iterator[tuple[int, av.Packet[Any]]]":
        if not self._first_key:
            yield from self._layout.shifted(self._container, self.video)
            return
        packets = self._layout.shifted_from(self._container, self.video, self._first_key)
        first = next(packets)
        self._first_open = first[0]
        yield from chain([first], packets)

    def _start_anew(self) -> None:
        """Empty a decoder that gives nothing behind an error until then (dav1d)."""
        if self._stuck_by_errors and self.video.codec_context is not None:
            self.video.codec_context.flush_buffers()

    def _note_failure(self, number: int) -> None:
        self._done.add(number)
        if self._started:
            self._damage.bad_packets += 1
            self.lost_frames += 1
            self.taint.add(number, lost=True)

    def _note_frame(self, frame: av.VideoFrame, last: int) -> None:
        number = frame.opaque if isinstance(frame.opaque, int) else last
        self._note_left_out(frame)
        self._started = True
        self._done.add(number)
        self._waiting.append((frame, number))
        if frame.is_corrupt:
            self.taint.add(number, lost=False)

    def _note_left_out(self, frame: av.VideoFrame) -> None:
        """Note the packets of pictures that were to be shown before this one and did not come."""
        while self._due and frame.pts is not None and self._due[0][0] <= frame.pts:
            pts, number = heappop(self._due)
            if pts < frame.pts and not self._came(number):
                self._note_failure(number)

    def _came(self, number: int) -> bool:
        return number < self._first_open or number in self._done

    def _released(self, everything: bool) -> Iterator[Decoded]:
        while self._first_open in self._done:
            self._done.discard(self._first_open)
            self._first_open += 1
        while self._waiting:
            number = self._waiting[0][1]
            ready = number <= self._first_open or len(self._waiting) > REORDERED
            if not (ready or everything):
                return
            frame, _ = self._waiting.popleft()
            if self._torn.is_torn(frame, self._whole and not frame.key_frame):
                self.taint.add(number, lost=False)
            damaged = number in self.taint
            self._whole = not damaged
            self._damage.damaged_frames += damaged
            yield Decoded(frame, number, damaged)


def _prepare(video: av.VideoStream) -> None:
    context = video.codec_context
    if context is None:
        raise DecodeError("no decoder for the video stream")
    context.copy_opaque = True


def decode_sound(
    container: InputContainer, layout: Layout, damage: Damage | None = None
) -> Iterator[tuple[av.AudioFrame, bool]]:
    """Yield the frames of the film's sound, and whether packets before this one did not decode.

    Packets before the first one that decodes are skipped: a stream cut from a longer one often
    begins in the middle.

    Raises:
        DecodeError: no sound, no decoder, or not one packet decodes.
    """
    audio = layout.sound(container)
    damage = damage or Damage()
    if audio.codec_context is None:
        raise DecodeError("no decoder for the audio stream")
    started = broken = False
    for _, packet in layout.shifted(container, audio):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            broken = started
            damage.bad_packets += started
            continue
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            yield frame, broken
            started, broken = True, False
    if not started:
        raise DecodeError("not one packet of the sound decodes")


def decode_whole_sound(container: InputContainer, layout: Layout) -> Iterator[av.AudioFrame]:
    """Yield the frames of the film's sound where a missing one would be a fault.

    Raises:
        DecodeError: as `decode_sound`, or a packet does not decode; the message says where.
    """
    after_s = 0.0
    damage = Damage()
    for frame, _ in decode_sound(container, layout, damage):
        if damage.bad_packets:
            break
        after_s = after_s if frame.time is None else frame.time
        yield frame
    if damage.bad_packets:
        raise DecodeError(f"a packet of the sound does not decode after {after_s:.2f} s")
