"""A small copy of a stretch of a clip with its sound, for playing inside a page: H.264 and AAC.

Same files, same bytes on one machine: one thread, no clock, no metadata. AAC needs 1024 samples to
get going; the mp4's edit list leaves them out, so that picture and sound begin together.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.clip_reader import read_audio_int16
from pipeline.player.scaled_frames import scaled_frames
from pipeline.tables.rows import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

FILM_PX = 160
_CRF = 27
_AUDIO_BIT_RATE = 32_000
_GOP = 50
"""Two seconds: a seek decodes so much at the most."""
_MUXER = {"fflags": "+bitexact"}
_X264 = {
    "preset": "superfast",
    "crf": str(_CRF),
    "flags": "+bitexact+global_header",
    "x264-params": "threads=1:cpu-independent=1:bframes=0:rc-lookahead=0:mbtree=0:scenecut=0",
}


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Frames [start, end) of a clip, and where its sound is taken from."""

    video: Path
    audio: Path
    start: int
    end: int
    lead_frames: float = 0.0
    """By how much the sound is early; it is played so much later, as `shards` corrects it."""


@dataclass(frozen=True, slots=True)
class SmallFilm:
    """A film for a page, and pictures of it."""

    mp4: bytes
    pictures: Mapping[int, NDArray[np.uint8]]
    """Frame counted from the excerpt's first -> (FILM_PX, FILM_PX, 3) RGB."""


def small_film(excerpt: Excerpt, pictures: Sequence[int] = ()) -> SmallFilm:
    """Decode a stretch of a clip once, and encode it small.

    Args:
        pictures: frames wanted as pictures, counted from the excerpt's first.

    Raises:
        av.FFmpegError, IndexError: the clip's picture cannot be decoded.
        DecodeError, UnreadableError: its sound cannot be read.
        DecodeError: it has fewer frames than that.
    """
    sound_N = shifted_sound(read_audio_int16(excerpt.audio), excerpt)
    number = -1
    file, kept = io.BytesIO(), dict[int, NDArray[np.uint8]]()
    with av.open(file, "w", format="mp4", container_options=_MUXER) as container:
        picture, sound = _add_h264(container), _add_aac(container)
        frames = scaled_frames(excerpt.video, excerpt.start, excerpt.end, FILM_PX)
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            if number in pictures:
                kept[number] = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            container.mux(picture.encode(frame))
            container.mux(sound.encode(_block(sound_N, number)))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    if number + 1 != excerpt.end - excerpt.start:
        raise DecodeError(f"the clip has no frames [{excerpt.start}, {excerpt.end})")
    return SmallFilm(file.getvalue(), kept)


def shifted_sound(samples: NDArray[np.int16], excerpt: Excerpt) -> NDArray[np.int16]:
    """Return the excerpt's sound with its lead taken out; beyond the clip's ends lies silence."""
    start = round((excerpt.start - excerpt.lead_frames) * SAMPLES_PER_FRAME)
    end = start + (excerpt.end - excerpt.start) * SAMPLES_PER_FRAME
    before, after = max(0, -start), max(0, end - max(len(samples), start))
    return np.pad(samples[max(0, start) : max(0, end)], (before, after))[: end - start]


def _block(samples: NDArray[np.int16], number: int) -> av.AudioFrame:
    first = number * SAMPLES_PER_FRAME
    block = samples[None, first : first + SAMPLES_PER_FRAME]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="s16", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, first
    frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
    return frame


def _add_h264(container: OutputContainer) -> VideoStream:
    stream = container.add_stream("libx264", rate=FPS, options=_X264)
    stream.width, stream.height, stream.pix_fmt = FILM_PX, FILM_PX, "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, FPS)
    stream.codec_context.gop_size, stream.codec_context.thread_count = _GOP, 1
    return stream


def _add_aac(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
    stream.bit_rate = stream.codec_context.bit_rate = _AUDIO_BIT_RATE
    stream.codec_context.options = {"flags": "+bitexact", "aac_coder": "fast"}
    return stream
