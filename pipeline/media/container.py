"""Opens media files as local files, whatever their name; the one border for FFmpeg's errors."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import av
from av.container import InputContainer

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
def open_media(
    path: Path, options: Mapping[str, str] = MappingProxyType({})
) -> Iterator[InputContainer]:
    """Open a file for reading; FFmpeg errors inside the block are converted to MediaError.

    Args:
        options: of the demuxer.

    Raises:
        EmptyFileError: no bytes.
        NotMediaError: no demuxer recognises the bytes, or it is a playlist or text.
        DecodeError: a known container that is broken, or reading its packets failed.
        UnreadableError: the operating system refuses to read the file.
    """
    check_readable(path)
    with _open(path, options) as container:
        try:
            yield container
        except av.FFmpegError as error:
            raise as_media_error(error, DecodeError, "reading the container") from error


def check_readable(path: Path) -> None:
    """Check that a file can be read and has bytes.

    Raises:
        EmptyFileError, UnreadableError: as `open_media`.
    """
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    if empty:
        raise EmptyFileError("the file has no bytes")


def _open(path: Path, options: Mapping[str, str]) -> InputContainer:
    try:
        return av.open(
            local_url(path),
            mode="r",
            container_options={
                **options,
                "protocol_whitelist": "file",
                "format_whitelist": _DEMUXERS,
            },
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


def only_video(container: InputContainer) -> av.VideoStream:
    """Return the video stream of a clip of our own; DecodeError where there is none.

    Which track of a foreign file is its film says `media.layout`.
    """
    video = next(iter(container.streams.video), None)
    if video is None:
        raise DecodeError("no video stream")
    return video
