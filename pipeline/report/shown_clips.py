"""The clips that the page shows: which, their films, pictures, timelines and distance curves."""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Protocol, TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MediaError
from pipeline.media.clip_reader import read_arrays, spread_frames
from pipeline.params.curation import SelectParams
from pipeline.player.on_page import FilmOnPage, PageRoom
from pipeline.player.small_film import Excerpt, small_film
from pipeline.player.timeline import ClipTimeline, PartOfClip, timeline
from pipeline.report.reported_clips import ReportedClip
from pipeline.tables.rows import FPS
from pipeline.tables.run_tables import Record, RunTables

FRAMES = 8
FRAME_PX = 112
"""Shown at about 90 px on a desktop."""
_JPEG_QUALITY = 75
CURVE_WIDTH, CURVE_HEIGHT = 150, 44
NO_ROOM = "not playable here: the page holds report.clips_mb of films, and they are used up"

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
class ShownClip:
    """A clip as it is shown."""

    facts: ReportedClip
    film: FilmOnPage | None
    pictures: tuple[StripFrame, ...]
    problem: str
    """Why there is no film, or no picture either; empty when there is one."""
    sound: str
    """What is heard."""
    timeline: ClipTimeline
    curve: DistanceCurve | None


@dataclass(frozen=True, slots=True)
class Details:
    """Whole rows of the clips that are shown: too large to be read for all."""

    siblings: Mapping[str, Sequence[ReportedClip]]
    """clip_id -> all parts of the clip, in the order of time."""
    stretches: Mapping[str, Sequence[Record]]
    quality: Mapping[str, Record]

    @classmethod
    def of(
        cls, chosen: Iterable[ReportedClip], clips: Iterable[ReportedClip], tables: RunTables
    ) -> "Details":
        """Read what belongs to the chosen clips."""
        wanted = {one.clip_id: one.video_id for one in chosen}
        siblings: dict[str, list[ReportedClip]] = defaultdict(list)
        for one in clips:
            if one.clip_id in wanted:
                siblings[one.clip_id].append(one)
        stretches: dict[str, list[Record]] = defaultdict(list)
        for row in tables.of_items("stretches", set(wanted.values())):
            if row["status"] == "kept":
                stretches[row["clip_id"]].append(row)
        quality = {row["item_id"]: row for row in tables.of_items("quality", set(wanted))}
        return cls(siblings, stretches, quality)


class _Named(Protocol):
    @property
    def clip_id(self) -> str: ...


One = TypeVar("One", bound=_Named)


def choose_clips(clips: Iterable[One], by: Callable[[One], str], count: int) -> list[One]:
    """Return up to `count` clips: one of each group in turn, in the order of a hash of the id.

    The hash spreads the choice over a source's length without random numbers.
    """
    groups: dict[str, list[One]] = defaultdict(list)
    for clip in sorted(clips, key=lambda c: hashlib.sha256(c.clip_id.encode()).digest()):
        groups[by(clip)].append(clip)
    turns = zip_longest(*(groups[name] for name in sorted(groups)))
    return [clip for turn in turns for clip in turn if clip is not None][:count]


def show_clip(
    facts: ReportedClip,
    details: Details,
    open_artifact: OpenArtifact,
    room: PageRoom,
    select: SelectParams,
) -> ShownClip:
    """Make a clip ready for the page. One whose files are gone is shown without film."""
    lead, sound = _lead(facts)
    film: FilmOnPage | None = None
    pictures: tuple[StripFrame, ...] = ()
    scores_T: NDArray[np.float64] | None = None
    frames = facts.clip_frames
    try:
        mp4, flac, npz = (
            open_artifact(facts.clip["artifact"], f"{facts.clip_id}.{suffix}")
            for suffix in ("mp4", "flac", "npz")
        )
        wanted = spread_frames(frames, FRAMES)
        made = small_film(Excerpt(mp4, flac, 0, frames, lead), wanted)
        pictures = tuple(StripFrame(_jpeg(made.pictures[n]), n / FPS) for n in wanted)
        film = room.place(made)
        problem = "" if film else NO_ROOM
        scores_T = _scores(npz, frames)
    except (OSError, av.error.FFmpegError, MediaError) as error:
        problem = f"no pictures: {type(error).__name__}; the item cache was emptied or is damaged"
    line = _timeline(facts, details, scores_T, select)
    return ShownClip(facts, film, pictures, problem, sound, line, _curve(facts))


def _lead(facts: ReportedClip) -> tuple[float, str]:
    """Return how early the sound is where that is corrected, and how the page says it."""
    lead = facts.value("offset_frames") if facts.ending == "accepted" else None
    if not lead:
        return 0.0, "sound as recorded"
    way = "later" if lead > 0 else "earlier"
    return lead, f"sound {abs(lead):.1f} frames {way} than recorded, as in the shard"


def _scores(npz: Path, frames: int) -> NDArray[np.float64] | None:
    """Return (T,) certainties of the landmarks, 0 where the face was lost."""
    arrays = read_arrays(npz, ("scores", "interpolated"))
    if len(arrays["scores"]) != frames:
        return None
    return np.where(arrays["interpolated"], 0.0, arrays["scores"].astype(np.float64))


def _jpeg(picture: NDArray[np.uint8]) -> str:
    small = cv2.resize(picture[..., ::-1], (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV is built with JPEG"
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _timeline(
    facts: ReportedClip,
    details: Details,
    scores_T: NDArray[np.float64] | None,
    select: SelectParams,
) -> ClipTimeline:
    begin = facts.clip["start_frame"] - facts.first_frame
    stretches = [
        {**row, "start_frame": row["start_frame"] - begin, "end_frame": row["end_frame"] - begin}
        for row in details.stretches.get(facts.clip_id, ())
    ]
    siblings = details.siblings.get(facts.clip_id, (facts,))
    quality = details.quality.get(facts.clip_id)
    parts = [_part(one, facts) for one in siblings]
    return timeline(facts.clip_frames, parts, stretches, quality, scores_T, select)


def _part(one: ReportedClip, shown: ReportedClip) -> PartOfClip:
    end = one.first_frame + one.clip["num_frames"]
    kept = one.ending == "accepted"
    words = f"kept for {one.split}" if kept else one.reason
    return PartOfClip(one.first_frame, end, kept, words, one.first_frame == shown.first_frame)


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
