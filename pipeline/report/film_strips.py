"""Film strips: which clips are shown, their frames as JPEG data URIs, their distance curve."""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError, MediaError
from pipeline.media.clip_reader import chosen_frames, spread_frames
from pipeline.media.container import local_url
from pipeline.report.reported_clips import ReportedClip
from pipeline.tables.rows import FPS

FRAMES = 8
FRAME_PX = 144
"""Shown at about 120 px on a desktop, so still crisp; 8 frames are about 50 kB of page."""
_JPEG_QUALITY = 78
CURVE_WIDTH, CURVE_HEIGHT = 150, 44

OpenArtifact = Callable[[str, str], Path]
"""Cache key and file name -> local path, as `Cache.artifact_path`."""


@dataclass(frozen=True, slots=True)
class StripFrame:
    """One frame of a strip."""

    uri: str
    """`data:image/jpeg;base64,...`"""
    time_s: float
    size: int = FRAME_PX
    """Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class DistanceCurve:
    """A distance curve as SVG coordinates."""

    points: str
    zero_x: float
    lowest_x: float
    lowest_y: float
    reach: int
    """The last offset of the axis, in frames."""
    words: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A clip as it is shown."""

    facts: ReportedClip
    pictures: tuple[StripFrame, ...]
    problem: str
    """Why there are no pictures; empty when there are."""
    curve: DistanceCurve | None


def choose_clips(
    clips: Iterable[ReportedClip], by: Callable[[ReportedClip], str], count: int
) -> list[ReportedClip]:
    """Return up to `count` clips: one of each group in turn, in the order of a hash of the id.

    The hash spreads the choice over a source's length without random numbers.
    """
    groups: dict[str, list[ReportedClip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda c: hashlib.sha256(c.clip_id.encode()).digest()):
        groups[by(clip)].append(clip)
    turns = zip_longest(*(groups[name] for name in sorted(groups)))
    return [clip for turn in turns for clip in turn if clip is not None][:count]


def make_strip(facts: ReportedClip, open_artifact: OpenArtifact) -> Strip:
    """Decode a clip for the page. A clip whose file is gone is shown without pictures."""
    problem = ""
    pictures: tuple[StripFrame, ...] = ()
    try:
        path = open_artifact(facts.clip["artifact"], f"{facts.clip_id}.mp4")
        pictures = _pictures(path, facts.first_frame, int(facts.clip["num_frames"]))
    except (OSError, av.error.FFmpegError, MediaError) as error:
        problem = f"no pictures: {type(error).__name__}; the item cache was emptied or is damaged"
    return Strip(facts, pictures, problem, _curve(facts))


def _pictures(path: Path, first: int, num_frames: int) -> tuple[StripFrame, ...]:
    wanted = {first + frame for frame in spread_frames(num_frames, FRAMES)}
    return tuple(
        StripFrame(_data_uri(picture), (number - first) / FPS)
        for number, picture in small_pictures(path, wanted)
    )


def small_pictures(path: Path, wanted: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (number, (FRAME_PX, FRAME_PX, 3) RGB) of some frames of a clip, in order.

    By decord, which seeks, decodes and scales in one call; by PyAV where there is no decord, as on
    ARM. The pictures differ by what two ways to scale differ by.

    Raises:
        DecodeError: decord does not read the file.
        av.FFmpegError: PyAV does not.
    """
    try:
        import decord
    except ImportError:
        yield from _by_pyav(path, wanted)
        return
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(local_url(path), width=FRAME_PX, height=FRAME_PX, num_threads=1)
        numbers = sorted(number for number in wanted if number < len(reader))
        pictures = reader.get_batch(numbers).asnumpy() if numbers else ()
    except (decord.DECORDError, RuntimeError) as error:
        raise DecodeError(f"decord: {error}") from error
    yield from zip(numbers, pictures, strict=True)


def _by_pyav(path: Path, wanted: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    size = {"width": FRAME_PX, "height": FRAME_PX}
    for number, frame in chosen_frames(path, wanted):
        small = frame.reformat(**size, format="rgb24", interpolation="AREA").to_ndarray()
        yield number, np.asarray(small, np.uint8)


def _data_uri(picture: NDArray[np.uint8]) -> str:
    bgr = np.ascontiguousarray(picture[..., ::-1])
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV is built with JPEG"
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _curve(facts: ReportedClip) -> DistanceCurve | None:
    values: Sequence[float] = facts.sync["curve"] if facts.sync else ()
    if len(values) < 2:
        return None
    low, span = min(values), max(max(values) - min(values), 1e-9)
    last = len(values) - 1
    xs = [round(index / last * CURVE_WIDTH, 1) for index in range(len(values))]
    ys = [round(CURVE_HEIGHT - (value - low) / span * CURVE_HEIGHT, 1) for value in values]
    best = values.index(low)
    offset = best - last // 2
    return DistanceCurve(
        points=" ".join(f"{x},{y}" for x, y in zip(xs, ys, strict=True)),
        zero_x=round(CURVE_WIDTH / 2, 1),
        lowest_x=xs[best],
        lowest_y=ys[best],
        reach=last // 2,
        words=f"distance over offsets {-(last // 2)} to {last // 2} frames, lowest at {offset:+d}",
    )
