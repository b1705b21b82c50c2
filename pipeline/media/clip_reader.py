"""Reading our own clips: mp4, flac, json and npz, as files of the item cache or bytes of a shard.

A member that the storage refuses to give is an UnreadableError (worth another try), one whose
content is damaged a DecodeError. `media.encode.read_video` decodes the mp4 to RGB.

Shape suffixes: T frames at 25 fps, L landmarks, N samples at 16 kHz.
"""

import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.errors import DecodeError, UnreadableError
from pipeline.media.flac import read_flac
from pipeline.media.samples import as_int16
from pipeline.tables.rows import SAMPLE_RATE_HZ

Member = Path | bytes
"""One file of a clip: a local path, or its content."""

_FRAME_SHAPES: Mapping[str, tuple[int | None, ...]] = {
    "landmarks": (None, 3),
    "matrices": (2, 3),
    "scores": (),
    "boxes": (4,),
    "interpolated": (),
    "sync": (),
    "speech": (),
    "cover": (),
    "change": (),
}
"""Shape per frame of each array of the npz; None is any number."""
_NPZ_ERRORS = (
    EOFError,
    KeyError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise on a damaged archive, depending on where the damage is."""


def read_arrays(npz: Member, names: Collection[str] = ()) -> dict[str, NDArray[Any]]:
    """Return arrays of the npz as stored, one row per frame each; all of them if none is named.

    `landmarks` (T, L, 3) source px, `matrices` (T, 2, 3) source px to crop px, `scores` (T,),
    `boxes` (T, 4) source px, `interpolated` (T,).

    Raises:
        UnreadableError: the storage refuses to give the file.
        DecodeError: no npz, an array is missing, or one has another shape.
    """
    return arrays_in(io.BytesIO(_content(npz, "the landmark file")), names)


def arrays_in(npz: IO[bytes], names: Collection[str] = ()) -> dict[str, NDArray[Any]]:
    """Do as `read_arrays` with an open npz, of which no more is read than the named arrays.

    Raises:
        DecodeError: as `read_arrays`.
    """
    try:
        with np.load(npz, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name]) for name in names or stored.files}
    except _NPZ_ERRORS as error:
        raise DecodeError(f"the landmark file cannot be used: {error}") from error
    _check_shapes(arrays)
    return arrays


def read_audio(flac: Member) -> NDArray[np.float32]:
    """Return the sound, (N,), full scale 1.

    Raises:
        UnreadableError: the storage refuses to give the file.
        DecodeError: no FLAC, its data end early, or it is not 16 kHz mono.
    """
    content = _content(flac, "the sound")
    audio_N = read_flac(content)
    stored = soundfile.info(io.BytesIO(content))
    if (stored.samplerate, stored.channels) != (SAMPLE_RATE_HZ, 1):
        raise DecodeError(
            f"the sound has {stored.samplerate} Hz and {stored.channels} channels, "
            "it must be 16 kHz mono"
        )
    return audio_N


def read_audio_int16(flac: Member) -> NDArray[np.int16]:
    """Return the sound, (N,), as the 16-bit integers that are stored.

    Raises:
        UnreadableError, DecodeError: as `read_audio`.
    """
    return as_int16(read_audio(flac))


def read_facts(json_member: Member) -> dict[str, Any]:
    """Return the sample's JSON object.

    Raises:
        UnreadableError: the storage refuses to give the file.
        DecodeError: no JSON object.
    """
    try:
        facts = json.loads(_content(json_member, "the JSON"))
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the JSON cannot be used: {error}") from error
    if not isinstance(facts, dict):
        raise DecodeError(f"the JSON holds a {type(facts).__name__}, not an object")
    return facts


def stored_frames(mp4: Path) -> Iterator[av.VideoFrame]:
    """Yield the frames of the mp4 as the decoder gives them, on one thread.

    Raises:
        av.FFmpegError: the file cannot be opened or does not decode.
        IndexError: it has no video stream.
    """
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        yield from container.decode(stream)


def spread_frames(num_frames: int, count: int) -> list[int]:
    """Return up to `count` frame numbers, the middles of equal parts of the clip."""
    parts = min(count, num_frames)
    return [(2 * part + 1) * num_frames // (2 * parts) for part in range(parts)]


def chosen_frames(mp4: Path, wanted: Collection[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield some frames of the mp4 with their numbers, in order; ignore numbers beyond its end.

    The pixels equal those of `stored_frames`. Decodes from the key frame before each of them on,
    nothing else: `media.encode.write_clip` writes IDR frames and no forward references.

    Raises:
        av.FFmpegError, IndexError: as `stored_frames`.
    """
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        packets = [packet for packet in container.demux(stream) if packet.size]
        numbers = {packet.pts: number for number, packet in enumerate(packets)}
        for frame in _decoded(stream, [packets[number] for number in _needed(packets, wanted)]):
            if numbers[frame.pts] in wanted:
                yield numbers[frame.pts], frame


def _needed(packets: Sequence["av.Packet[Any]"], wanted: Collection[int]) -> list[int]:
    """Return the numbers of the wanted packets, and of those from the key frame before them on."""
    key, needed = 0, set[int]()
    for number, packet in enumerate(packets):
        key = number if packet.is_keyframe else key
        if number in wanted:
            needed.update(range(key, number + 1))
    return sorted(needed)


def _decoded(
    stream: av.VideoStream, packets: Sequence["av.Packet[Any]"]
) -> Iterator[av.VideoFrame]:
    for packet in packets:
        yield from stream.decode(packet)
    yield from stream.decode(None)


def _content(member: Member, what: str) -> bytes:
    if isinstance(member, bytes):
        return member
    try:
        return member.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{what} cannot be read: {error}") from error


def _check_shapes(arrays: Mapping[str, NDArray[Any]]) -> None:
    lengths = set()
    for name, array in arrays.items():
        if not _has_shape(array, _FRAME_SHAPES.get(name)):
            raise DecodeError(f"the landmark file cannot be used: {name} has shape {array.shape}")
        lengths.add(array.shape[:1])
    if len(lengths) > 1:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise DecodeError(f"the landmark file cannot be used: lengths differ: {shapes}")


def _has_shape(array: NDArray[Any], per_frame: tuple[int | None, ...] | None) -> bool:
    if per_frame is None:
        return array.ndim > 0
    return array.ndim == len(per_frame) + 1 and all(
        want in (None, have) for have, want in zip(array.shape[1:], per_frame, strict=True)
    )
