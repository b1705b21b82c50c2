"""Clocks that restart in the middle of a file: recordings that were joined as bytes.

Where the timestamps of picture and sound jump back together (or forward by more than MAX_HOLE_S)
the file is a row of recordings. Each is moved as a whole, picture and sound by the same amount, to
begin where the one before it ends. Shorter jumps forward are holes: the last picture is held.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ClockRestartsError
from pipeline.media.packets import NONE, TrackPackets
from pipeline.tables.rows import FPS

MAX_HOLE_S = 3600
"""A longer jump forward of picture and sound is another clock, not a pause."""
BACK_S = 0.1
"""Decoding times never decrease; this much is left to rounding and to careless muxers."""
BACK_REORDERED_S = 1.0
"""The same for times of display, which B-frames put out of order."""
GLITCH_PACKETS = 8
"""Times that return within so many packets are wrong timestamps, no restart."""
APART_S = 3.0
"""Picture and sound of one moment lie at most so far apart in the order of the file."""


@dataclass(frozen=True, slots=True)
class Shifts:
    """What is added to the timestamps of a stream, by number of the packet."""

    starts: Sequence[int] = (0,)
    """First packet of each recording, ascending."""
    ticks: Sequence[int] = (0,)

    def of(self, number: int) -> int:
        """Return the ticks to add to the timestamps of a packet."""
        return self.ticks[bisect_right(self.starts, number) - 1]

    def each(self, count: int) -> NDArray[np.int64]:
        """Return the ticks to add to each of the first `count` packets."""
        lengths = np.diff([*self.starts, max(count, self.starts[-1])])
        return np.repeat(np.array(self.ticks, np.int64), lengths)[:count]


@dataclass(frozen=True, slots=True)
class Restart:
    """Where the clock restarts."""

    at_s: float
    """In the joined time."""
    jump_s: float
    """From where the clock was to where it goes on; negative = backwards."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump of the times of one stream."""

    number: int
    """Of the first packet behind it."""
    place: int
    """Of that packet among all of the file."""
    from_s: float
    to_s: float


class TimedTrack:
    """The packets of one stream with times in seconds."""

    def __init__(self, packets: TrackPackets, time_base: Fraction) -> None:
        ordered, exact = packets.ordered()
        shown = np.array(packets.pts, np.int64)
        self.base, self.places = time_base, np.array(packets.places, np.int64)
        self._shown = np.where(shown == NONE, ordered, shown)
        stored = self._shown + np.array(packets.durations, np.int64)
        known = self._shown != NONE
        self.end_s = float(stored[known].max() * time_base) if known.any() else 0.0
        steps = np.diff(ordered)
        usual = int(np.median(steps)) if len(steps) else 0  # an mp4's durations span its jumps
        lasts = np.array(packets.durations, np.int64)
        self._ends = self._shown + np.where(lasts > 2 * usual, usual, lasts)
        self._usual_s = float(usual * time_base)
        back = float(Fraction(BACK_S if exact else BACK_REORDERED_S) / time_base)
        hole = float(MAX_HOLE_S / time_base)
        self.jumps = [
            Jump(n, int(self.places[n]), *(float(t * time_base) for t in ordered[n - 1 : n + 1]))
            for n in (np.flatnonzero((steps < -back) | (steps > hole)) + 1).tolist()
            if _lasts(ordered, n, back, hole)
        ]

    @property
    def first_s(self) -> Fraction:
        """When the first packet in presentation order of the first recording is shown."""
        end = self.jumps[0].number if self.jumps else len(self._shown)
        return int(self._shown[:end].min()) * self.base

    def number_at(self, place: int) -> int:
        """Return the number of the first packet that lies at or behind a place in the file."""
        return int(np.searchsorted(self.places, place))

    def seconds_between(self, one: int, other: int) -> float:
        """Return how long the packets between two places of the file last."""
        return abs(self.number_at(one) - self.number_at(other)) * self._usual_s

    def span(self, first: int, end: int) -> tuple[Fraction, Fraction] | None:
        """Return when packets [first, end) begin and end to be shown; None for no packet."""
        if first >= end:
            return None
        return (
            int(self._shown[first:end].min()) * self.base,
            int(self._ends[first:end].max()) * self.base,
        )


def _lasts(ordered: NDArray[np.int64], number: int, back: float, hole: float) -> bool:
    """Return whether the times stay where they jumped to: a few wrong ones are no restart."""
    ahead = ordered[number : number + GLITCH_PACKETS] - ordered[number - 1]
    return bool((ahead < -back).all() or (ahead > hole).all())


def find_restarts(
    tracks: Mapping[int, TimedTrack], picture: int | None = None
) -> tuple[list[Restart], dict[int, Shifts]]:
    """Find the restarts of a file, and what joins its recordings to one time.

    Args:
        tracks: by index of the stream, those that are used: the picture, the sound or both.
        picture: index of the picture, whose recordings all begin on the 25 fps grid: else what
            follows would be shown up to half a grid frame early or late.

    Raises:
        ClockRestartsError: picture and sound do not jump together.
    """
    borders = [dict.fromkeys(tracks, 0), *_borders(tracks)]
    ends = [*borders[1:], {index: len(track.places) for index, track in tracks.items()}]
    shift, until = Fraction(0), Fraction(0)
    shifts: list[Fraction] = []
    restarts: list[Restart] = []
    for first, end in zip(borders, ends, strict=True):
        spans = [track.span(first[index], end[index]) for index, track in tracks.items()]
        begins, stops = zip(*[span for span in spans if span is not None], strict=True)
        if shifts:
            jump_s = float(min(begins) + shift - until)
            shift = until - min(begins)
            shift += _to_grid(tracks, picture, first, end, shift)
            restarts.append(Restart(float(until), jump_s))
        shifts.append(shift)
        until = max(stops) + shift
    return restarts, {
        index: Shifts(
            [first[index] for first in borders], [round(one / track.base) for one in shifts]
        )
        for index, track in tracks.items()
    }


def _to_grid(
    tracks: Mapping[int, TimedTrack],
    picture: int | None,
    first: Mapping[int, int],
    end: Mapping[int, int],
    shift: Fraction,
) -> Fraction:
    """Return the seconds from a recording's first picture to the next point of the grid, >= 0."""
    if picture is None or picture not in tracks:
        return Fraction(0)
    here = tracks[picture].span(first[picture], end[picture])
    if here is None:
        return Fraction(0)
    return -(here[0] + shift - tracks[picture].first_s) % Fraction(1, FPS)


def _borders(tracks: Mapping[int, TimedTrack]) -> list[dict[int, int]]:
    """Return for each restart the number of the first packet behind it, by stream."""
    waiting = {index: list(track.jumps) for index, track in tracks.items()}
    borders = []
    while any(waiting.values()):
        index = min((i for i, row in waiting.items() if row), key=lambda i: waiting[i][0].place)
        jump = waiting[index].pop(0)
        answers = {i: _answer(t, jump, tracks, waiting[i]) for i, t in tracks.items() if i != index}
        border = {i: number for i, number in answers.items() if number is not None}
        if len(border) == len(answers):
            borders.append({index: jump.number, **border})
    return borders


def _answer(
    track: TimedTrack, jump: Jump, tracks: Mapping[int, TimedTrack], waiting: list[Jump]
) -> int | None:
    """Return the first packet of a track behind the restart that another one shows.

    None where this track goes on over the jump: a picture that stands for hours, with sound.
    """
    if waiting and _together(tracks, jump, waiting[0]):
        return waiting.pop(0).number
    number = track.number_at(jump.place)
    behind = track.span(number, len(track.places))
    if behind is None or number == 0:
        return number
    if jump.to_s > jump.from_s and float(behind[1]) > jump.to_s - APART_S:
        return None
    raise ClockRestartsError(
        f"the clock of one track jumps from {jump.from_s:.2f} s to {jump.to_s:.2f} s, "
        "that of the other does not: which sound belongs to which picture is not known"
    )


def _together(tracks: Mapping[int, TimedTrack], one: Jump, other: Jump) -> bool:
    """Return whether two jumps have one direction and lie at one place of the file."""
    near = (t.seconds_between(one.place, other.place) <= APART_S for t in tracks.values())
    return (one.to_s < one.from_s) == (other.to_s < other.from_s) and all(near)
