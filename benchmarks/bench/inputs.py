"""What is measured: clips of a folder, films made from them, films of the demo corpus.

Made films lie in the work folder and are made once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import whole_file
from pipeline.demo.corpus import render_corpus
from pipeline.faces.litert import LiteRTBackend

HD_CLIPS = ("spkvid_*", "fsgan_conan.*")
"""The 1080p-class clips of the folder of real clips."""
VIDEO = {".mp4", ".avi", ".mpg", ".mkv", ".mov", ".webm"}
FPS = 25
RATE_HZ = 16_000
SAMPLES_PER_FRAME = RATE_HZ // FPS
FILM_SIZE = (1280, 720)
UHD_SIZE = (3840, 2160)
FAST = {"preset": "ultrafast", "crf": "23", "g": "50"}

Picture = NDArray[np.uint8]
"""(height, width, 3) RGB."""


def clip_files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the videos of a folder that fit one of the patterns, sorted; none if it is absent."""
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path.absolute() for path in found if path.suffix.lower() in VIDEO)


def linked(files: Sequence[Path], folder: Path) -> Path:
    """Fill a folder with links to files and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        (folder / path.name).symlink_to(path)
    return folder


def demo_films(work: Path, films: int = 1) -> list[Path]:
    """Return the first films of the demo corpus, rendered when they are first asked for."""
    corpus = work / f"demo-{films}"
    if not corpus.exists():
        render_corpus(corpus, videos=films)
    return sorted(path for path in (corpus / "videos").rglob("*") if path.suffix in VIDEO)


def pictures(path: Path) -> Iterator[Picture]:
    """Yield the pictures of a file as they are stored."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def sound_of(path: Path) -> NDArray[np.float32]:
    """Return (samples,) mono at RATE_HZ, from -1 to 1."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return np.zeros(0, np.float32)
        found = [
            one.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for one in resampler.resample(frame)
        ]
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def letterboxed(picture: Picture, size: tuple[int, int]) -> Picture:
    """Return the picture in the middle of a black one of `size` (width, height)."""
    width, height = size
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inside = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    small = cv2.resize(picture, inside, interpolation=cv2.INTER_LINEAR)
    canvas: Picture = np.zeros((height, width, 3), np.uint8)
    x, y = (width - inside[0]) // 2, (height - inside[1]) // 2
    canvas[y : y + inside[1], x : x + inside[0]] = small
    return canvas


class FilmWriter:
    """H.264 at 25 fps and AAC in an MP4; a part's sound is cut or filled to its pictures."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.size, self.frames, self.samples = size, 0, 0
        self.container = av.open(str(path), "w", format="mp4")
        self.video = self.container.add_stream("libx264", FPS, options=FAST)
        self.video.width, self.video.height = size
        self.video.pix_fmt = "yuv420p"
        self.audio = self.container.add_stream("aac", RATE_HZ, layout="mono")

    def add(self, shown: Iterator[Picture], sound: NDArray[np.float32], most: int) -> None:
        """Append at most `most` pictures and the sound that belongs to them."""
        before = self.frames
        for picture, _ in zip(shown, range(most), strict=False):
            frame = av.VideoFrame.from_ndarray(letterboxed(picture, self.size), format="rgb24")
            frame.pts, frame.time_base = self.frames, Fraction(1, FPS)
            self.container.mux(self.video.encode(frame))
            self.frames += 1
        self._add_sound(sound, (self.frames - before) * SAMPLES_PER_FRAME)

    def _add_sound(self, sound: NDArray[np.float32], length: int) -> None:
        fitted = np.zeros(length, np.float32)
        fitted[: min(length, len(sound))] = sound[:length]
        for begin in range(0, length, RATE_HZ):  # the encoder's resampler takes no minutes at once
            piece = np.ascontiguousarray(fitted[None, begin : begin + RATE_HZ])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, self.samples
            frame.time_base = Fraction(1, RATE_HZ)
            self.container.mux(self.audio.encode(frame))
            self.samples += piece.shape[1]

    def close(self) -> None:
        """Write what the encoders hold back."""
        for stream in (self.video, self.audio):
            self.container.mux(stream.encode(None))
        self.container.close()


def joined_film(files: Sequence[Path], out: Path, seconds: float) -> Path:
    """Make a 720p film of `seconds` from clips, one behind the other, from the start again.

    Each picture of a clip becomes one of 25 a second, whatever the clip's rate was, with the clip's
    own sound from its start: the film is for measuring speed, not sync.
    """
    if out.exists():
        return out
    with whole_file(out) as part:
        film, wanted = FilmWriter(part, FILM_SIZE), round(seconds * FPS)
        while film.frames < wanted:
            for path in files:
                film.add(pictures(path), sound_of(path), wanted - film.frames)
        film.close()
    return out


def face_box(clip: Path) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of a square with twice the side of the first picture's best face."""
    best = LiteRTBackend().detect(next(pictures(clip)))[0].box
    side = max(best[2] - best[0], best[3] - best[1])
    x, y = ((best[at] + best[at + 2]) / 2 for at in (0, 1))
    return max(0, round(x - side)), max(0, round(y - side)), round(x + side), round(y + side)


def film_with_gap(
    clip: Path, out: Path, box: tuple[int, int, int, int], seconds: float = 10.0
) -> Path:
    """Make a 4K film of one clip in whose middle `box` has one colour for one second.

    Only the face is hidden: a second of plain grey would be a shot of its own, and behind a cut no
    track waits for its face.
    """
    if out.exists():
        return out
    wanted = round(seconds * FPS)
    with whole_file(out) as part:
        film = FilmWriter(part, UHD_SIZE)
        shown = covered(repeated(clip), wanted // 2, wanted // 2 + FPS, box)
        film.add(shown, sound_of(clip), wanted)
        film.close()
    return out


def repeated(clip: Path) -> Iterator[Picture]:
    """Yield the pictures of a clip again and again."""
    while True:
        yield from pictures(clip)


def covered(
    shown: Iterator[Picture], start: int, end: int, box: tuple[int, int, int, int]
) -> Iterator[Picture]:
    """Yield the pictures, those of [start, end) with the mean colour of `box` all over it."""
    x0, y0, x1, y1 = box
    for number, picture in enumerate(shown):
        if start <= number < end:
            picture = picture.copy()
            picture[y0:y1, x0:x1] = picture[y0:y1, x0:x1].mean(axis=(0, 1))
        yield picture


def looped_film(clip: Path, out: Path, seconds: float) -> Path:
    """Repeat the packets of a clip until the film is `seconds` long; nothing is encoded again."""
    if out.exists():
        return out
    with (
        whole_file(out) as part,
        av.open(str(clip)) as source,
        av.open(str(part), "w", format="mp4") as film,
    ):
        streams = (source.streams.video[0], source.streams.audio[0])
        targets = {one.index: film.add_stream_from_template(one) for one in streams}
        stored = [StoredPacket.of(one) for one in source.demux(*streams) if one.dts is not None]
        packets = [one for one in stored if one.pts >= 0]  # without the sound's priming
        length_s = max(one.end_s for one in packets)
        for turn in range(max(1, round(seconds / length_s))):
            for one in packets:
                film.mux(one.moved(turn * length_s, targets[one.stream]))
    return out


@dataclass(frozen=True, slots=True)
class StoredPacket:
    """One encoded packet of a clip, to be written several times."""

    content: bytes
    stream: int
    time_base: Fraction
    pts: int
    dts: int
    duration: int
    key: bool

    @classmethod
    def of(cls, packet: "av.Packet[Any]") -> "StoredPacket":
        """Copy a packet."""
        assert packet.pts is not None, "a packet of a clip has its time"
        assert packet.dts is not None, "a packet of a clip has its time"
        return cls(
            content=bytes(packet),
            stream=packet.stream.index,
            time_base=packet.time_base,
            pts=packet.pts,
            dts=packet.dts,
            duration=packet.duration or 0,
            key=packet.is_keyframe,
        )

    @property
    def end_s(self) -> float:
        """End of what it shows, on the clip's clock."""
        return float((self.pts + self.duration) * self.time_base)

    def moved(self, by_s: float, stream: Any) -> "av.Packet[Any]":
        """Return the packet for another stream, `by_s` later."""
        shift = round(by_s / self.time_base)
        packet: av.Packet[Any] = av.Packet(self.content)
        packet.time_base, packet.is_keyframe = self.time_base, self.key
        packet.pts, packet.dts = self.pts + shift, self.dts + shift
        packet.duration, packet.stream = self.duration, stream
        return packet
