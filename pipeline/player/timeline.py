"""What is known of a clip second by second, as lanes of a small drawing under its player.

Shape suffix: T frames of the clip.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.params.curation import SelectParams
from pipeline.tables.rows import FPS
from pipeline.tables.run_tables import Record

HEIGHT = 20
"""Units of one lane."""
_TICKS = 10
"""Marks of the time axis at the most."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One bar of a lane: place and size in frames and units, and its words."""

    x: float
    width: float
    height: float
    kind: str
    """Class in the style sheet."""
    words: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of the drawing."""

    name: str
    meaning: str
    cells: tuple[Cell, ...]
    words: str
    """The whole row for those who do not see it."""


@dataclass(frozen=True, slots=True)
class ClipTimeline:
    """All rows of one clip over the same time."""

    frames: int
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    """(Place in percent, seconds)."""


@dataclass(frozen=True, slots=True)
class PartOfClip:
    """Frames [start, end) of the clip and what became of them."""

    start: int
    end: int
    kept: bool
    words: str
    shown: bool
    """The part that the page speaks of."""


def timeline(
    frames: int,
    parts: Sequence[PartOfClip],
    stretches: Sequence[Record],
    quality: Record | None,
    scores_T: NDArray[np.float64] | None,
    select: SelectParams,
) -> ClipTimeline:
    """Draw a clip of `frames` frames.

    Args:
        parts: in the order of time.
        stretches: rows of the clip with `start_frame` and `end_frame` counted from its first.
        quality: the clip's whole row, or None where it was not measured.
        scores_T: the landmark model's certainty, 0 where the face was lost; None without the file.
        select: says from where on a picture stands.
    """
    lanes = [_decided(parts, frames)]
    lanes.append(_lane("Sync", "probability of being in sync", _sync(stretches, frames)))
    speech, cover, change = (
        _series(quality, name, frames) for name in ("speech", "cover", "change")
    )
    lanes.append(_lane("Speech", "share of time", speech))
    lanes.append(_lane("Face", "certainty of its landmarks", scores_T))
    lanes.append(
        _lane("Mouth", "certainty that it is visible", None if cover is None else 1 - cover)
    )
    lanes.append(
        _lane("Damage", "face lost or picture standing", _damage(change, scores_T, select))
    )
    return ClipTimeline(frames, tuple(lanes), _ticks(frames))


def _decided(parts: Sequence[PartOfClip], frames: int) -> Lane:
    cells = tuple(
        Cell(
            x=one.start,
            width=one.end - one.start,
            height=HEIGHT if one.shown else HEIGHT * 0.6,
            kind="accepted" if one.kept else "rejected",
            words=f"{_span(one.start, one.end)}: {one.words}",
        )
        for one in parts
    )
    return Lane("Kept", "what became of it", cells, "; ".join(cell.words for cell in cells))


def _lane(name: str, meaning: str, series_T: NDArray[np.float64] | None) -> Lane:
    """Draw the mean of every second."""
    if series_T is None:
        return Lane(name, meaning, (), "not measured")
    cells = [
        _cell(name, start, series_T[start : start + FPS]) for start in range(0, len(series_T), FPS)
    ]
    words = ", ".join(cell.words.rsplit(" ", 1)[1] for cell in cells)
    return Lane(name, meaning, tuple(cells), f"{meaning}, second by second: {words}")


def _cell(name: str, start: int, values: NDArray[np.float64]) -> Cell:
    mean = float(np.clip(values.mean(), 0, 1))
    kind = "damage" if name == "Damage" else "good"
    words = f"{_span(start, start + len(values))}: {name.lower()} {mean:.2f}"
    return Cell(start, len(values), round(mean * HEIGHT, 2), kind, words)


def _span(start: int, end: int) -> str:
    return f"{start / FPS:.1f} to {end / FPS:.1f} s"


def _sync(stretches: Sequence[Record], frames: int) -> NDArray[np.float64] | None:
    if not stretches:
        return None
    found_T = np.zeros(frames)
    for one in stretches:
        if one["kind"] == "in_sync":
            found_T[one["start_frame"] : one["end_frame"]] = one["probability"]
    return found_T


def _series(quality: Record | None, name: str, frames: int) -> NDArray[np.float64] | None:
    series = quality.get(f"{name}_by_frame") if quality else None
    return np.asarray(series, np.float64) if series and len(series) == frames else None


def _damage(
    change_T: NDArray[np.float64] | None,
    scores_T: NDArray[np.float64] | None,
    select: SelectParams,
) -> NDArray[np.float64] | None:
    """Return 1 where the picture stands or the face was lost, else 0."""
    flags = [change_T < select.still_change] if change_T is not None else []
    flags += [scores_T <= 0] if scores_T is not None else []
    return np.logical_or.reduce(flags).astype(np.float64) if flags else None


def _ticks(frames: int) -> tuple[tuple[float, str], ...]:
    seconds = frames / FPS
    step = max(1, math.ceil(seconds / _TICKS))
    return tuple(
        (round(100 * second / seconds, 2), f"{second}")
        for second in range(0, math.ceil(seconds), step)
    )
