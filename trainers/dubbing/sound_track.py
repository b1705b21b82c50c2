"""The sound track of the output: the samples of the input, copied or encoded losslessly.

Lossy codecs that the container supports are copied packet by packet, so nothing is encoded twice.
Everything else becomes FLAC of 16 or 24 bits, which players support in mp4 and in Matroska.

Shape suffixes: C channels, N samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.container import open_media
from pipeline.media.decoding import decode_whole_sound
from pipeline.media.layout import Layout, read_layout

COPIED = frozenset({"aac", "ac3", "eac3", "mp3", "opus"})
"""Lossy codecs that mp4, Matroska and players support."""
BITS_24 = 2**23
MAX_CHANNELS = 8
"""Of FLAC."""

Packet: TypeAlias = "av.Packet[Any]"
"""PyAV's class takes no parameter at run time."""


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """Properties of a sound track, measured by decoding it."""

    codec: str
    rate_hz: int
    layout: str
    samples: int
    start_s: float
    """Presentation time of the first sample."""
    sixteen_bits: bool
    """The decoder gives integers of at most 16 bits."""
    beyond_full_scale: int
    """Samples outside of -1 ... 1, of all channels; only decoders that give floats have them."""

    @property
    def seconds(self) -> Fraction:
        """Exact length."""
        return Fraction(self.samples, self.rate_hz)


def read_sound(path: Path) -> SoundFacts:
    """Decode the sound track of a file that `media.layout` chooses once, and measure it.

    Raises:
        DecodeError: no sound, no sample, a sample that is no number, more channels than FLAC
            supports, or rate or channels change within the track.
        MediaError: as `open_media`.
    """
    layout = read_layout(path)
    if layout.audio is None and layout.sounds:
        raise DecodeError("its sound is empty (an audio stream without a sample); give another")
    with open_media(path) as container:
        stream = layout.sound(container)
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
        frames = decode_whole_sound(container, layout)
        first = next(frames, None)
        if first is None or first.sample_rate < 1:
            raise DecodeError("the sound track holds no sample")
        if len(first.layout.channels) > MAX_CHANNELS:
            raise DecodeError(
                f"the sound has {len(first.layout.channels)} channels, an output takes "
                f"{MAX_CHANNELS}; mix it down first"
            )
        samples = beyond = 0
        for frame in chain([first], frames):
            if (frame.sample_rate, frame.layout.name) != (first.sample_rate, first.layout.name):
                raise DecodeError("rate or channels of the sound change on the way")
            beyond += _beyond_full_scale(_planes(frame), samples, frame.sample_rate)
            samples += frame.samples
        whole = first.format.name.rstrip("p") in ("u8", "s16")
        start_s = float(first.time or 0.0)
        return SoundFacts(
            codec, first.sample_rate, first.layout.name, samples, start_s, whole, beyond
        )


def _beyond_full_scale(planes_CN: NDArray[Any], before: int, rate_hz: int) -> int:
    """Return how many samples are beyond full scale.

    Args:
        before: samples of a channel before these.

    Raises:
        DecodeError: a sample is NaN or infinite.
    """
    if planes_CN.dtype.kind != "f" or np.abs(planes_CN).max(initial=0) <= 1:  # not so for NaN
        return 0
    broken_N = ~np.isfinite(planes_CN).all(axis=0)
    if broken_N.any():
        at_s = (before + int(broken_N.argmax())) / rate_hz
        fix = "cut it out, or export the sound again, as 16 or 24 bits, say"
        raise DecodeError(f"the sound has a sample that is NaN or infinite at {at_s:.3f} s; {fix}")
    return int(np.count_nonzero(np.abs(planes_CN) > 1))


class SoundTrack:
    """Adds one sound to an output, cut after `samples` samples."""

    def __init__(self, path: Path, facts: SoundFacts, samples: int, copy: bool) -> None:
        self.copy = copy
        self.exact = True
        """Set by `packets`: False if samples of more than 24 bits were rounded."""
        self.path, self._facts = path, facts
        self._samples = min(samples, facts.samples)
        self.clipped = 0 if copy else _num_clipped(path, facts, self._samples)
        """Samples beyond full scale, of all channels, that the track has at full scale."""

    @property
    def codec(self) -> str:
        """Codec of the output's track."""
        return self._facts.codec if self.copy else "flac"

    def packets(self, output: OutputContainer, source: InputContainer) -> Iterator[Packet]:
        """Add the stream to the output immediately; return its packets in order of time.

        Args:
            source: the opened file of the sound.
        """
        layout = read_layout(self.path)
        stream = layout.sound(source)
        if self.copy:
            return self._copied(output.add_stream_from_template(stream), stream, source, layout)
        bits = "s16" if self._facts.sixteen_bits else "s32"
        made = output.add_stream("flac", rate=self._facts.rate_hz, layout=self._facts.layout)
        assert isinstance(made, av.AudioStream)
        made.codec_context.format = bits
        made.codec_context.time_base = Fraction(1, self._facts.rate_hz)
        return self._encoded(made, source, layout)

    def _copied(
        self,
        target: av.AudioStream,
        stream: av.AudioStream,
        source: InputContainer,
        layout: Layout,
    ) -> Iterator[Packet]:
        base = Fraction(stream.time_base or Fraction(1, self._facts.rate_hz))
        shift = round(Fraction(self._facts.start_s) / base)
        end = Fraction(self._samples, self._facts.rate_hz) / base
        for _, packet in layout.shifted(source, stream):
            if packet.size == 0 or packet.pts is None:
                continue
            packet.pts -= shift
            packet.dts = packet.pts
            if packet.pts >= end:
                return
            packet.stream = target
            yield packet

    def _encoded(
        self, target: av.AudioStream, source: InputContainer, layout: Layout
    ) -> Iterator[Packet]:
        done = 0
        for frame in decode_whole_sound(source, layout):
            planes_CN = _planes(frame)[:, : self._samples - done]
            if not planes_CN.shape[1]:
                break
            whole_CN, exact = _as_integers(planes_CN, self._facts.sixteen_bits)
            self.exact &= exact
            yield from target.encode(self._frame(whole_CN, done))
            done += planes_CN.shape[1]
        yield from target.encode(None)

    def _frame(self, whole_CN: NDArray[Any], first: int) -> av.AudioFrame:
        kind = "s16" if self._facts.sixteen_bits else "s32"
        packed = np.ascontiguousarray(whole_CN.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format=kind, layout=self._facts.layout)
        frame.sample_rate, frame.pts = self._facts.rate_hz, first
        frame.time_base = Fraction(1, self._facts.rate_hz)
        return frame


def _num_clipped(path: Path, facts: SoundFacts, samples: int) -> int:
    """Return how many of the first `samples` samples are beyond full scale."""
    if not facts.beyond_full_scale or samples == facts.samples:
        return facts.beyond_full_scale
    clipped = done = 0
    with open_media(path) as container:
        for frame in decode_whole_sound(container, read_layout(path)):
            planes_CN = _planes(frame)[:, : samples - done]
            clipped += _beyond_full_scale(planes_CN, done, facts.rate_hz)
            done += planes_CN.shape[1]
            if done == samples:
                break
    return clipped


def same_samples(one: Path, other: Path, samples: int) -> bool:
    """Return whether the first `samples` samples are bit-identical and start at time 0.

    `other` may be longer by less than one codec block.

    Raises:
        MediaError: as `open_media`.
    """
    with open_media(one) as a, open_media(other) as b:
        first, second = _SampleReader(a, read_layout(one)), _SampleReader(b, read_layout(other))
        left = samples
        while left > 0:
            block = min(left, 2**16)
            x, y = first.take(block), second.take(block)
            if x.shape != y.shape or not np.array_equal(x, y) or x.shape[1] < block:
                return False
            left -= block
        return abs(second.start_s) < 1e-3 and second.rest() < second.longest


class _SampleReader:
    """Reads the sound track of a file in blocks of any length."""

    def __init__(self, container: InputContainer, layout: Layout) -> None:
        self._frames = decode_whole_sound(container, layout)
        self._held: NDArray[Any] | None = None
        self.start_s = 0.0
        self.longest = 1
        """Most samples of one frame."""

    def take(self, count: int) -> NDArray[Any]:
        """Return the next (C, count) samples, fewer at the end."""
        while self._held is None or self._held.shape[1] < count:
            frame = next(self._frames, None)
            if frame is None:
                break
            planes = _planes(frame)
            self.longest = max(self.longest, frame.samples)
            if self._held is None:
                self.start_s, self._held = float(frame.time or 0.0), planes
            else:
                self._held = np.concatenate([self._held, planes], axis=1)
        held = np.zeros((0, 0)) if self._held is None else self._held
        self._held = held[:, count:]
        return held[:, :count]

    def rest(self) -> int:
        """Return the number of samples that are left."""
        held = 0 if self._held is None else self._held.shape[1]
        return held + sum(frame.samples for frame in self._frames)


def _planes(frame: av.AudioFrame) -> NDArray[Any]:
    """Return (C, N) in the sample format of the decoder."""
    data = frame.to_ndarray()
    return data if frame.format.is_planar else data.reshape(-1, len(frame.layout.channels)).T


def _as_integers(planes_CN: NDArray[Any], sixteen_bits: bool) -> tuple[NDArray[Any], bool]:
    """Return int16, or 24 bits in the upper bits of int32, and whether nothing was rounded.

    Samples beyond full scale are clipped, which is not rounding; 1.0 itself is rounded to the
    largest integer.
    """
    if sixteen_bits:
        if planes_CN.dtype == np.uint8:
            return ((planes_CN.astype(np.int16) - 128) << 8).astype(np.int16), True
        return planes_CN, True
    scale = 1.0 if planes_CN.dtype.kind == "f" else 1.0 / 2.0 ** (8 * planes_CN.itemsize - 1)
    scaled_CN = planes_CN.astype(np.float64) * scale * BITS_24
    whole = np.clip(np.rint(scaled_CN), -BITS_24, BITS_24 - 1)
    exact_CN = (whole == scaled_CN) | (np.abs(scaled_CN) > BITS_24)
    return whole.astype(np.int32) << 8, bool(exact_CN.all())
