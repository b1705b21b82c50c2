"""Faults of a file whose packets are whole: a hole, flipped bits, a clock that restarts, tracks.

The film is encoded as it is, then copied packet by packet; nothing is encoded twice. Every output
is bit-exact: equal input gives equal bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.stream import Disposition

from pipeline.demo.film_writer import Format, exact_output
from pipeline.demo.scenario import Fault
from pipeline.tables.rows import FPS

Packet: TypeAlias = "av.Packet[Any]"
Change: TypeAlias = "Callable[[Packet, Fraction], Packet | None]"
"""A packet and its time in seconds from the first video frame -> what is stored, None: nothing."""
_HEADER_BYTES = 24
"""Start of a packet that is left alone: length and slice header, without which it is no picture."""
_BYTES_PER_FLIP = 60


def make_hole(path: Path, fault: Fault, how: Format) -> None:
    """Remove the packets of both streams that begin in the stretch; their times stay empty."""

    def outside(packet: Packet, time_s: Fraction) -> "Packet | None":
        return None if fault.holds(floor(time_s * FPS)) else packet

    _rewrite(path, how, outside)


def damage(path: Path, fault: Fault, how: Format) -> None:
    """Flip bits in the video packets of the first `damaged_frames` frames of the stretch."""

    def flipped(packet: Packet, time_s: Fraction) -> Packet:
        frame = round(time_s * FPS)
        inside = fault.start <= frame < fault.start + fault.damaged_frames
        if packet.stream.type == "video" and inside:
            return _like(packet, _flip_bits(bytes(packet), seed=frame))
        return packet

    _rewrite(path, how, flipped)


def restart_clock(path: Path, fault: Fault, how: Format) -> None:
    """Join two MPEG-TS streams, the second of which counts its time from the beginning again."""
    parts = [path.with_name(f".{path.name}.{index}") for index in range(2)]
    at_s = Fraction(fault.start, FPS)

    def first(packet: Packet, time_s: Fraction) -> "Packet | None":
        return packet if time_s < at_s else None

    def second(packet: Packet, time_s: Fraction) -> "Packet | None":
        return _earlier(packet, at_s) if time_s >= at_s else None

    for part, change in zip(parts, (first, second), strict=True):
        _copy(path, part, how, change)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()


def put_track_first(path: Path, other: Path, how: Format) -> None:
    """Put the only track of `other` before those of `path`, which become the default ones."""
    film = _moved_aside(path)
    with ExitStack() as open_files:
        sources = [open_files.enter_context(_reading(one)) for one in (other, film)]
        target = open_files.enter_context(exact_output(path, how))
        streams = [(source, target_of(source, target)) for source in sources]
        for index, (_, copies) in enumerate(streams):
            for copy in copies.values():
                copy.disposition = Disposition.default if index else Disposition(0)
        for packet, copies in _by_time(streams):
            packet.stream = copies[packet.stream_index]
            target.mux_one(packet)
    film.unlink()


def target_of(source: InputContainer, target: OutputContainer) -> dict[int, Any]:
    """Add a copy of every stream of `source` to `target`; return them by the index in `source`."""
    return {one.index: target.add_stream_from_template(one) for one in source.streams}


def _by_time(
    sources: Sequence[tuple[InputContainer, dict[int, Any]]],
) -> list[tuple[Packet, dict[int, Any]]]:
    """Return the packets of all sources in the order of their times; none is out of order."""
    packets = [
        (packet, copies)
        for source, copies in sources
        for packet in source.demux()
        if packet.pts is not None
    ]
    return sorted(packets, key=lambda one: (one[0].pts or 0) * one[0].time_base)


def _rewrite(path: Path, how: Format, change: Change) -> None:
    film = _moved_aside(path)
    _copy(film, path, how, change)
    film.unlink()


def _moved_aside(path: Path) -> Path:
    return path.replace(path.with_name(f".{path.name}.whole"))


def _copy(source_path: Path, target_path: Path, how: Format, change: Change) -> None:
    with _reading(source_path) as source, exact_output(target_path, how) as target:
        copies = target_of(source, target)
        for packet, time_s in _timed(source.demux()):
            stored = change(packet, time_s)
            if stored is not None:
                stored.stream = copies[packet.stream_index]
                target.mux_one(stored)


def _timed(packets: Iterable[Packet]) -> Iterator[tuple[Packet, Fraction]]:
    """Yield every packet with its time, counted from the first video frame."""
    held: list[Packet] = []
    zero: Fraction | None = None
    for packet in packets:
        if packet.pts is None:
            continue
        if zero is None and packet.stream.type == "video":
            zero = packet.pts * packet.time_base
        held.append(packet)
        if zero is not None:
            yield from ((one, (one.pts or 0) * one.time_base - zero) for one in held)
            held = []


@contextmanager
def _reading(path: Path) -> Iterator[InputContainer]:
    with av.open(f"file:{path}") as container:
        yield container


def _earlier(packet: Packet, by_s: Fraction) -> Packet:
    ticks = round(by_s / packet.time_base)
    packet.pts = (packet.pts or 0) - ticks
    packet.dts = (packet.dts or 0) - ticks
    return packet


def _like(packet: Packet, content: bytes) -> Packet:
    """Return a packet with the same place and other bytes."""
    other = av.Packet(content)
    other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
    other.time_base, other.is_keyframe = packet.time_base, packet.is_keyframe
    return other


def _flip_bits(content: bytes, seed: int) -> bytes:
    changed = np.frombuffer(content, np.uint8).copy()
    random = np.random.default_rng(seed)
    count = max(2, len(changed) // _BYTES_PER_FLIP)
    places = random.integers(min(_HEADER_BYTES, len(changed) - 1), len(changed), count)
    changed[places] ^= (1 << random.integers(0, 8, count)).astype(np.uint8)
    return changed.tobytes()
