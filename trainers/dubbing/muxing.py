"""Encoded segments and a sound track -> one file, without re-encoding the video."""

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av

from pipeline.errors import ParamsError, StorageError
from pipeline.media.container import local_url, only_video, open_media
from pipeline.tables.rows import FPS
from trainers.dubbing.sound_track import Packet, SoundTrack

_CONTAINERS = {
    ".mp4": ("mp4", {"movflags": "+faststart", "fflags": "+bitexact"}),
    ".mkv": ("matroska", {"fflags": "+bitexact"}),
}


def check_suffix(out: Path) -> None:
    """Check that the container of the output is supported.

    Raises:
        ParamsError: neither .mp4 nor .mkv.
    """
    if out.suffix.lower() not in _CONTAINERS:
        raise ParamsError(f"{out}: the output must end in {' or '.join(_CONTAINERS)}")


def mux(
    path: Path, suffix: str, segments: Sequence[tuple[int, Path]], sound: SoundTrack, comment: str
) -> None:
    """Write the output file.

    Args:
        path: file to write, of any suffix.
        suffix: .mp4 or .mkv.
        segments: (first frame at 25 fps, clip of `write_clip`), in order.
        comment: for the metadata of the file.

    Raises:
        StorageError: the disk is full or not writable.
        MediaError: the sound does not decode.
    """
    name, options = _CONTAINERS[suffix.lower()]
    with ExitStack() as stack:
        source = stack.enter_context(open_media(sound.path))
        first = stack.enter_context(open_media(segments[0][1]))
        try:
            output = stack.enter_context(
                av.open(local_url(path), "w", format=name, container_options=options)
            )
            output.metadata["comment"] = comment
            target = output.add_stream_from_template(only_video(first))
            audio = sound.packets(output, source)
            for packet in heapq.merge(_video_packets(target, segments), audio, key=_time):
                output.mux(packet)
            output.close()
        except OSError as error:  # FFmpeg's errors of the file system are OSErrors too
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


def _video_packets(
    target: av.VideoStream, segments: Sequence[tuple[int, Path]]
) -> Iterator[Packet]:
    for start_frame, segment in segments:
        with open_media(segment) as container:
            video = only_video(container)
            base = Fraction(video.time_base or Fraction(1, FPS))
            for packet in container.demux(video):
                if packet.size:
                    packet.stream = target
                    packet.pts = packet.dts = (packet.pts or 0) + round(start_frame / FPS / base)
                    yield packet


def _time(packet: Packet) -> float:
    return float((packet.dts or 0) * packet.time_base)
