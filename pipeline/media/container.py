"""Opens media files as local files, whatever their name; the one border for FFmpeg's errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import overload

import av
from av.container import InputContainer
from av.stream import Disposition

from pipeline.errors import (
    DecodeError,
    EmptyFileError,
    MediaError,
    NotMediaError,
    UnreadableError,
)
from pipeline.faults import SYSTEM_ERRORS

_NOT_MEDIA = frozenset({"concat", "dash", "hls", "imf", "sdp", "rtsp", "tty"})
"""Demuxers of playlists, which would open other files, and of plain text rendered as an image."""
_SIGNATURES = (b"\x1aE\xdf\xa3", b"RIFF", b"FLV", b"OggS", b"\x00\x00\x01\xba")
"""First bytes of Matroska, AVI, FLV, Ogg and MPEG programme streams."""
_DEMUXERS = ",".join(sorted(av.formats_available - _NOT_MEDIA))


def as_media_error(error: av.FFmpegError, kind: type[MediaError], doing: str) -> MediaError:
    """Turn an FFmpeg error into one of ours; those of the operating system have their own class.

    The message holds no path: it must be the same wherever the file lies.
    """
    text = f"{doing}: {error.strerror}"
    return UnreadableError(text) if error.errno in SYSTEM_ERRORS else kind(text)


def local_url(path: Path) -> str:
    """Return a name that FFmpeg (PyAV, decord) reads as a local file, never as a protocol.

    `a:b.mp4`, `concat:x` and `-i` are names of files here, and nothing else.
    """
    return f"file:{os.path.abspath(path)}"  # noqa: PTH100 (resolve() would follow symlinks)


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a file for reading; FFmpeg errors inside the block are converted to MediaError.

    Raises:
        EmptyFileError: no bytes.
        NotMediaError: no demuxer recognises the bytes, or it is a playlist or text.
        DecodeError: a known container that is broken, or reading its packets failed.
        UnreadableError: the operating system refuses to read the file.
    """
    _refuse_unreadable(path)
    with _open(path) as container:
        try:
            yield container
        except av.FFmpegError as error:
            raise as_media_error(error, DecodeError, "reading the container") from error


def _refuse_unreadable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    if empty:
        raise EmptyFileError("the file has no bytes")


def _open(path: Path) -> InputContainer:
    try:
        return av.open(
            local_url(path),
            mode="r",
            container_options={"protocol_whitelist": "file", "format_whitelist": _DEMUXERS},
            metadata_errors="replace",
        )
    except av.ArgumentError as error:  # raised for a format outside of `format_whitelist`
        raise NotMediaError("a playlist or plain text, not a media file") from error
    except av.FFmpegError as error:
        if _has_signature(path):
            doing = "the container is broken or cut off (an mp4 without its index, say)"
            raise as_media_error(error, DecodeError, doing) from error
        raise as_media_error(error, NotMediaError, "no container that can be opened") from error


def _has_signature(path: Path) -> bool:
    """Return whether the file begins like a container: then it is broken, not another format."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" or head.startswith(_SIGNATURES)


def video_stream(container: InputContainer) -> av.VideoStream | None:
    """Return the first video stream that is no cover art, or None."""
    real = (s for s in container.streams.video if Disposition.attached_pic not in s.disposition)
    return next(real, None)


def audio_stream(container: InputContainer) -> av.AudioStream | None:
    """Return the first audio stream, or None."""
    return next(iter(container.streams.audio), None)


def require_video(container: InputContainer) -> av.VideoStream:
    """Return the video stream, or raise DecodeError where there is none."""
    video = video_stream(container)
    if video is None:
        raise DecodeError("no video stream")
    return video


def require_audio(container: InputContainer) -> av.AudioStream:
    """Return the audio stream, or raise DecodeError where there is none."""
    audio = audio_stream(container)
    if audio is None:
        raise DecodeError("no audio stream")
    return audio


@overload
def decode_stream(container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]: ...
@overload
def decode_stream(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]: ...
def decode_stream(
    container: InputContainer, stream: av.VideoStream | av.AudioStream
) -> Iterator[av.VideoFrame | av.AudioFrame]:
    """Yield every frame of one stream in the order of presentation.

    Packets before the first one that decodes are skipped: a stream cut from a longer one often
    begins in the middle of a GOP.

    Raises:
        DecodeError: a later packet does not decode; the message says at which second.
    """
    if stream.codec_context is None:
        raise DecodeError(f"no decoder for the {stream.type} stream")
    last_s: float | None = None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            if last_s is None:
                continue
            place = f"{stream.type} after {last_s:.2f} s"
            raise as_media_error(error, DecodeError, place) from error
        for frame in frames:
            assert isinstance(frame, av.VideoFrame | av.AudioFrame)
            last_s = last_s or 0.0 if frame.time is None else frame.time
            yield frame
