"""The largest picture of a track whose size changes on the way.

A new size needs a new header in a key frame. Only key frames whose header was not seen before are
decoded: one for almost every file.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import Any

import av
from av.container import InputContainer

from pipeline.media.nal_units import length_size, units

_HEAD = 4096
"""Bytes of a key frame in which its headers lie."""
_SPS = {"h264": lambda first: first & 31 == 7, "hevc": lambda first: first >> 1 & 63 == 33}
_MARKED = {"mpeg1video": b"\0\0\1\xb3", "mpeg2video": b"\0\0\1\xb3", "mjpeg": b"\xff\xc0"}
"""What the header with the size begins with; the size is among the next 8 bytes."""


def size_mark(codec: str, extradata: bytes | None, packet: "av.Packet[Any]") -> bytes:
    """Return bytes of a key frame that differ where its size differs; empty where none are known.

    Args:
        codec: FFmpeg's name of the format, `vp9` say, not of the decoder.
    """
    view = memoryview(packet)
    head = bytes(view[:_HEAD])
    if packet.has_sidedata("new_extradata"):
        return head
    if codec in _SPS:
        found = units(view, length_size(codec, extradata))
        return b"".join(bytes(unit) for unit in found if _SPS[codec](unit[0]))
    if codec == "vp8":
        return head[6:10]
    if codec == "vp9":
        return head[:12]
    if codec == "av1":
        return head[:16]
    mark = _MARKED.get(codec)
    at = head.find(mark) if mark else -1
    return head[at : at + 12] if at >= 0 else b""


def largest_size(
    container: InputContainer, video: av.VideoStream, numbers: Collection[int]
) -> tuple[int, int]:
    """Return (width, height) as stored: the largest of each among some packets of the stream.

    Args:
        numbers: packets to decode, each a key frame; (0, 0) if none of them decodes.
    """
    wanted, width, height, number = set(numbers), 0, 0, -1
    for packet in container.demux(video):
        number += packet.size > 0
        if number in wanted and packet.size:
            wanted.discard(number)
            with suppress(av.FFmpegError):
                for frame in [*packet.decode(), *video.codec_context.decode(None)]:
                    width, height = max(width, frame.width), max(height, frame.height)
            video.codec_context.flush_buffers()
        if not wanted:
            break
    return width, height
