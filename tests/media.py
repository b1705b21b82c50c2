"""Synthetic clips with known answers, made with PyAV, and how to measure them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from numpy.typing import NDArray

BEEP_HZ = 1000.0
BEEP_S = 0.08
FLASH_S = 0.08
TICKS = 90_000
"""Time base of all synthetic video: fine enough for any frame rate."""
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}

RGB = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sound:
    """Audio of a synthetic clip: (C, N) float32, full scale = 1, sample 0 at `start_s`."""

    samples: NDArray[np.float32]
    rate_hz: int = 16_000
    start_s: float = 0.0
    codec: str = "aac"
    gap_s: tuple[float, float] | None = None
    """Packets that begin in this interval are left out: a hole in the timestamps."""


def frame_times(fps: Fraction | float, seconds: float) -> list[float]:
    """Presentation times of a constant frame rate."""
    rate = Fraction(fps).limit_denominator(1001)
    return [float(i / rate) for i in range(round(seconds * rate))]


def variable_times(seconds: float, seed: int = 0) -> list[float]:
    """Presentation times as of a phone: 30 fps with jitter and dropped frames."""
    random = np.random.default_rng(seed)
    gaps = random.choice([1 / 30, 1 / 30, 1 / 30, 1 / 15, 1 / 24, 1 / 50], round(seconds * 40))
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    return [float(t) for t in times[times < seconds]]


def write_video(
    path: Path,
    frames: Iterable[RGB],
    times_s: Sequence[float],
    sound: Sound | None = None,
    *,
    start_s: float = 0.0,
    rotation_deg: int = 0,
    mirrored: bool = False,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    time_base: Fraction = Fraction(1, TICKS),
) -> Path:
    """Encode frames, frame i shown at start_s + times_s[i]; the suffix chooses the container.

    Args:
        rotation_deg: by how many degrees a player turns the stored picture CLOCKWISE.
    """
    options = {"crf": "12", "preset": "veryfast"} if options is None else options
    threads = {"threads": "1"}
    with av.open(f"file:{path}", "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options={**options, **threads})
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = stream.time_base = time_base
        ticks = [round((start_s + time_s) / time_base) for time_s in times_s]
        usual = int(np.median(np.diff(ticks))) if len(ticks) > 1 else round(0.04 / time_base)
        lasts = dict(zip(ticks, np.diff([*ticks, ticks[-1] + usual]).tolist(), strict=True))
        voice = _add_audio(container, sound)
        for number, (rgb, tick) in enumerate(zip(frames, ticks, strict=True)):
            if number == 0:
                stream.height, stream.width = rgb.shape[:2]
                if rotation_deg or mirrored:
                    stream.set_display_rotation(-rotation_deg, hflip=mirrored)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = tick, time_base
            _mux(container, stream.encode(frame), lasts)
        _mux(container, stream.encode(None), lasts)
        if sound is not None and voice is not None:
            _encode_sound(container, voice, sound)
    return path


def _mux(
    container: OutputContainer, packets: list["av.Packet[Any]"], durations: dict[int, int]
) -> None:
    for packet in packets:
        if packet.pts in durations:
            packet.duration = durations[packet.pts]
        container.mux(packet)


def write_sound(path: Path, sound: Sound) -> Path:
    """Encode sound alone; the suffix chooses the container."""
    with av.open(f"file:{path}", "w") as container:
        voice = _add_audio(container, sound)
        assert voice is not None
        _encode_sound(container, voice, sound)
    return path


def _add_audio(container: OutputContainer, sound: Sound | None) -> av.AudioStream | None:
    if sound is None:
        return None
    layout = _LAYOUTS[len(sound.samples)]
    stream = container.add_stream(sound.codec, rate=sound.rate_hz, layout=layout)
    assert isinstance(stream, av.AudioStream)
    return stream


def _encode_sound(container: OutputContainer, stream: av.AudioStream, sound: Sound) -> None:
    channels, length = sound.samples.shape
    planar = stream.codec_context.format.name
    step = stream.codec_context.frame_size or 1024
    for begin in range(0, length, step):
        here_s = sound.start_s + begin / sound.rate_hz
        if sound.gap_s and sound.gap_s[0] <= here_s < sound.gap_s[1]:
            continue
        block = sound.samples[:, begin : begin + step]
        if planar.startswith(("s16", "s32")):
            kind = np.int16 if planar.startswith("s16") else np.int32
            block = np.rint(block.astype(np.float64) * np.iinfo(kind).max).astype(kind)
        if not planar.endswith("p"):
            block = block.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block), format=planar, layout=_LAYOUTS[channels]
        )
        frame.sample_rate, frame.time_base = sound.rate_hz, Fraction(1, sound.rate_hz)
        frame.pts = round(sound.start_s * sound.rate_hz) + begin
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def remux(source: Path, out: Path, video: str = "", audio: str = "", shift_s: float = 0.0) -> Path:
    """Copy the packets of a file through bitstream filters (FFmpeg's `noise`, say).

    Args:
        shift_s: added to all times; what is before 0 then lies in front of an edit list of an mp4.
    """
    with av.open(f"file:{source}") as container, av.open(f"file:{out}", "w") as output:
        filters, targets = {}, {}
        for stream in [*container.streams.video, *container.streams.audio]:
            target = targets[stream.index] = output.add_stream_from_template(stream)
            name = video if stream.type == "video" else audio
            if name:
                filters[stream.index] = BitStreamFilterContext(name, stream, target)
        for packet in container.demux():
            if packet.size == 0 or packet.pts is None:
                continue
            if ticks := round(shift_s / packet.time_base):
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            if packet.stream.type == "audio" and packet.pts < 0:
                continue
            index = packet.stream_index
            for filtered in filters[index].filter(packet) if index in filters else [packet]:
                filtered.stream = targets[index]
                output.mux(filtered)
    return out


def flash_times(seconds: float) -> list[float]:
    """Return when beep_flash flashes: 1 s, 3 s, 5 s ... as long as the beep fits."""
    return [t for t in np.arange(1.0, seconds - 0.9, 2.0).tolist() if t < seconds]


def beep_samples(
    beeps_s: Sequence[float], seconds: float, rate_hz: int, channels: int = 1
) -> NDArray[np.float32]:
    """(C, N) float32: a 1 kHz beep of 80 ms at each time, silence elsewhere."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    mono = np.zeros(len(time), np.float32)
    for begin in beeps_s:
        on = (time >= begin) & (time < begin + BEEP_S)
        mono[on] = 0.5 * np.sin(2 * np.pi * BEEP_HZ * (time[on] - begin))
    return np.repeat(mono[None], channels, axis=0)


def beep_flash(
    path: Path,
    *,
    fps: Fraction | float = 25,
    times_s: Sequence[float] | None = None,
    offset_frames: float = 0.0,
    seconds: float = 6.0,
    size: tuple[int, int] = (64, 48),
    rate_hz: int = 16_000,
    channels: int = 1,
    audio_start_s: float = 0.0,
    start_s: float = 0.0,
    rotation_deg: int = 0,
    audio_codec: str = "aac",
    codec: str = "libx264",
) -> Path:
    """Write a dark clip that flashes white and beeps at 1 s, 3 s, 5 s ...

    The beep begins with the first frame of the flash, minus `offset_frames` / 25 s: positive =
    audio early, as everywhere. A horizontal bar moves, so that no two dark frames are equal.

    Args:
        times_s: presentation times instead of a constant `fps` (`variable_times`).
        size: (width, height) as stored, before `rotation_deg`.
        audio_start_s: the audio track begins so much after the video track (silence is cut off,
            not shifted).
        start_s: when both tracks begin in the file's own time.
    """
    times = list(times_s) if times_s is not None else frame_times(fps, seconds)
    flashes = [min(t for t in times if t > wish - 1e-3) for wish in flash_times(seconds)]
    sound = beep_samples([t - offset_frames / 25 for t in flashes], seconds, rate_hz, channels)
    cut = round(audio_start_s * rate_hz)
    return write_video(
        path,
        (_bar_or_flash(t, flashes, size, number) for number, t in enumerate(times)),
        times,
        Sound(sound[:, cut:], rate_hz, start_s + audio_start_s, audio_codec),
        start_s=start_s,
        rotation_deg=rotation_deg,
        codec=codec,
        options=None if codec == "libx264" else {},
        time_base=1 / Fraction(fps) if codec.startswith("mpeg") else Fraction(1, TICKS),
    )


def _bar_or_flash(
    time_s: float, flashes: Sequence[float], size: tuple[int, int], number: int
) -> RGB:
    picture = np.full((size[1], size[0], 3), 20, np.uint8)
    if any(f - 1e-6 <= time_s < f + FLASH_S - 1e-6 for f in flashes):
        picture[:] = 235
    else:
        picture[number % size[1] // 2 * 2 :][:2] = 60
    return picture


def flash_onsets_s(frames: Iterable[RGB], fps: float = 25.0) -> list[float]:
    """Return the time of the first bright frame of each flash."""
    bright = np.array([float(frame.mean()) > 128 for frame in frames])
    return [float(k / fps) for k in np.flatnonzero(bright & ~np.roll(bright, 1)) if k > 0]


def beep_onsets_s(audio: NDArray[np.generic], rate_hz: int = 16_000) -> list[float]:
    """Return when each beep begins, from the centre of its energy: blind to pre-echo.

    Args:
        audio: (N,) mono, int16 or float.
    """
    power = audio.astype(np.float64) ** 2
    smooth = np.convolve(power, np.ones(rate_hz // 100), "same")
    loud = np.flatnonzero(smooth > 0.1 * smooth.max()) if smooth.max() > 0 else np.array([], int)
    bursts = np.split(loud, np.flatnonzero(np.diff(loud) > rate_hz // 10) + 1) if len(loud) else []
    onsets = []
    for burst in bursts:
        around = np.arange(max(burst[0] - 80, 0), min(burst[-1] + 80, len(power)))
        centre = float((around * power[around]).sum() / power[around].sum())
        onsets.append(centre / rate_hz - BEEP_S / 2)
    return onsets


def measure_av_error_s(
    frames: Iterable[RGB], audio: NDArray[np.generic], rate_hz: int = 16_000
) -> float:
    """Return by how many seconds the beeps come BEFORE the flashes (25 fps frames), on average.

    Each flash is paired with the nearest beep, so leads up to one second can be told.
    """
    beeps = np.array(beep_onsets_s(audio, rate_hz))
    leads = [flash - beeps[np.abs(beeps - flash).argmin()] for flash in flash_onsets_s(frames)]
    assert leads, "no flash found"
    return float(np.mean(leads))


def textured_shot(frames: int, seed: int, size: tuple[int, int] = (160, 120)) -> list[RGB]:
    """A coloured texture that pans slowly; another seed looks quite different."""
    random = np.random.default_rng(seed)
    width, height = size
    noise = random.integers(0, 256, (height // 8 + 4, width // 8 + 4, 3), dtype=np.uint8)
    tint = random.integers(0, 256, 3)
    big = cv2.resize(noise, (width + 32, height + 32), interpolation=cv2.INTER_CUBIC)
    big = (0.5 * big + 0.5 * tint).astype(np.uint8)
    steps = [abs(32 - i % 64) for i in range(frames)]  # to and fro: never jumps
    return [np.ascontiguousarray(big[i // 2 :][:height, i:][:, :width]) for i in steps]


def hard_cuts(
    path: Path,
    cuts: Sequence[int],
    times_s: Sequence[float],
    size: tuple[int, int] = (160, 120),
    sound: Sound | None = None,
) -> Path:
    """Write textured shots; source frame number c is the first of a new shot for c in cuts."""
    edges = [0, *cuts, len(times_s)]
    shots = [
        textured_shot(end - begin, seed=7 * number + 1, size=size)
        for number, (begin, end) in enumerate(pairwise(edges))
    ]
    return write_video(path, [frame for shot in shots for frame in shot], times_s, sound)
