"""Frames and sound into a file of a given container, codec, frame rate and clock, bit-exact."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray
from scipy.signal import resample_poly

from pipeline.faces.backend import Frame

_ONE_THREAD = {"threads": "1"}
_X264 = {
    "preset": "veryfast",
    "crf": "20",
    "x264-params": "threads=1:cpu-independent=1",
}
_VIDEO_OPTIONS = {
    "libx264": _X264,
    "mpeg4": {"qscale": "3", "flags": "+qscale", **_ONE_THREAD},
    # not `realtime`: there the encoder measures its own speed, and the bytes depend on the machine
    "libvpx": {"deadline": "good", "cpu-used": "5", "b": "1500k", **_ONE_THREAD},
}
_AUDIO_FRAME = 1024
"""Samples handed over at a time; codecs with frames of their own are fed those."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a film is stored."""

    suffix: str = ".mp4"
    video_codec: str = "libx264"
    audio_codec: str = "aac"
    """Empty: no audio track."""
    audio_rate_hz: int = 44_100
    channels: int = 1
    fps: Fraction = Fraction(25)
    variable_fps: bool = False
    """Frames come at irregular times, with `fps` on average."""
    rotation_deg: int = 0
    """Clockwise turn a player has to make; pictures are stored turned the other way."""
    audio_start_s: float = 0.0
    """Start of the audio stream; sound keeps its place on the clock."""
    gop_frames: int = 50
    """From one key frame to the next."""
    b_frames: bool = True
    """Whether frames may refer to later ones."""

    def times_s(self, duration_s: Fraction) -> list[Fraction]:
        """Return when each frame is shown."""
        count = int(duration_s * self.fps)
        if not self.variable_fps:
            return [Fraction(n) / self.fps for n in range(count)]
        steps = [33, 34, 33, 50, 40, 33, 67, 34, 42, 34]
        ticks = np.concatenate([[0], np.cumsum(np.resize(steps, count * 2))])
        return [Fraction(int(t), 1000) for t in ticks if t < duration_s * 1000]


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono samples in -1 to 1; the first one lies at time 0."""

    samples: NDArray[np.float32]
    rate_hz: int

    def at_rate(self, rate_hz: int) -> NDArray[np.float32]:
        """Return the samples at another rate."""
        ratio = Fraction(rate_hz, self.rate_hz)
        if ratio == 1:
            return self.samples
        changed = resample_poly(self.samples, ratio.numerator, ratio.denominator)
        return np.asarray(changed, np.float32)


def write_film(
    path: Path, frames: Iterable[tuple[Fraction, Frame]], sound: Sound, how: Format
) -> None:
    """Encode timed frames and their sound.

    Args:
        frames: (time in seconds, picture as it is to be seen), times increasing.
    """
    with exact_output(path, how) as container:
        video: av.VideoStream | None = None
        audio = _add_audio(container, how) if how.audio_codec else None
        for time_s, picture in frames:
            stored = np.rot90(picture, how.rotation_deg // 90)
            if video is None:
                video = _add_video(container, how, stored.shape[1], stored.shape[0])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format="rgb24")
            frame.time_base = video.codec_context.time_base
            frame.pts = round(time_s / frame.time_base)
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode(None))
        if audio is not None:
            _write_audio(container, audio, sound, how)


@contextmanager
def exact_output(path: Path, how: Format) -> Iterator[OutputContainer]:
    """Open a file for writing whose bytes hold no clock and no version."""
    bitexact = {"fflags": "+bitexact"}
    with av.open(f"file:{path}", "w", format=_muxer(how), options=bitexact) as container:
        container.flags |= 0x400  # AVFMT_FLAG_BITEXACT
        yield container


def _muxer(how: Format) -> str:
    return {".mkv": "matroska", ".ts": "mpegts"}.get(how.suffix, how.suffix[1:])


def _add_video(container: OutputContainer, how: Format, width: int, height: int) -> av.VideoStream:
    options = _VIDEO_OPTIONS[how.video_codec] | ({} if how.b_frames else {"bf": "0"})
    stream = container.add_stream(how.video_codec, rate=how.fps, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = Fraction(1, 1000) if how.variable_fps else 1 / how.fps
    stream.codec_context.gop_size = how.gop_frames
    _exact(stream.codec_context)
    if how.rotation_deg:
        stream.set_display_rotation(-how.rotation_deg)
    return stream


def _add_audio(container: OutputContainer, how: Format) -> av.AudioStream:
    layout = "stereo" if how.channels == 2 else "mono"
    stream = container.add_stream(how.audio_codec, rate=how.audio_rate_hz, layout=layout)
    assert isinstance(stream, av.AudioStream)
    if how.audio_codec in ("aac", "libopus"):
        stream.codec_context.bit_rate = 96_000
    _exact(stream.codec_context)
    return stream


def _exact(context: Any) -> None:
    context.flags |= 0x800000  # AV_CODEC_FLAG_BITEXACT
    context.thread_count = 1


def _write_audio(
    container: OutputContainer, stream: av.AudioStream, sound: Sound, how: Format
) -> None:
    samples = sound.at_rate(how.audio_rate_hz)
    first = round(how.audio_start_s * how.audio_rate_hz)
    whole = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    fifo = av.AudioResampler(stream.codec_context.format, stream.layout, how.audio_rate_hz)
    step = stream.codec_context.frame_size or _AUDIO_FRAME
    for start in range(first, len(whole), step):
        part = np.repeat(whole[start : start + step], how.channels)[None]
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout=stream.layout.name)
        frame.sample_rate, frame.pts = how.audio_rate_hz, start
        frame.time_base = Fraction(1, how.audio_rate_hz)
        for ready in fifo.resample(frame):
            container.mux(stream.encode(ready))
    container.mux(stream.encode(None))
