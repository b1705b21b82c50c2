"""All clips of one film together: stretches in sync, one sub-frame offset for what shares a clock.

1. The other clips of the film say which offsets a clip may have (`pipeline.judge.clock`).
2. Each clip is cut into stretches (`pipeline.judge.stretches`).
3. The sub-frame offset of a stretch, and its drift, are those of all stretches of the film that
   have the same offset within a frame together, the nearer in time the heavier.

Shape suffixes: W windows (one per frame), K = 31 offsets from -15 to +15, H = 61 halves of a frame.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pipeline.judge.clock import offset_priors
from pipeline.judge.curve import MAX_OFFSET_FRAMES, Doubles, vertex
from pipeline.judge.drift import curve_along, drift_frames
from pipeline.judge.evidence import HALVES, NUM_HALVES, EvidenceModel, column_of, halves
from pipeline.judge.stretches import FOREIGN_WEIGHT, IN_SYNC, Stretch, decode_stretches
from pipeline.tables.rows import FPS

SHARED_S = 30.0
"""Stretches of the same offset this far apart weigh exp(-1/2) of the stretch's own."""
FARTHEST_S = 3 * SHARED_S
"""Those farther away would weigh next to nothing, and an hour would take minutes."""
SAME_OFFSET_FRAMES = 1.0
LEAST_POOLED_LOG_ODDS = 3.0
"""Stretches that are less sure have no say in another one's offset."""


CORRECTED = 0.9
"""Share of corrected clips that are within half a frame of 0, before anything is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class FilmClip:
    """What is known of one clip before the film is judged as a whole."""

    start_frame: int
    """Of the film's grid: the first frame of the clip."""
    num_frames: int
    distances: Doubles
    """(W, 31), W <= num_frames; the windows lie in the middle of the clip."""


@dataclass(frozen=True, slots=True)
class SyncedFrames:
    """Frames [start, end) of a clip in one state of sync."""

    kind: str
    """`in_sync` or `foreign`."""
    start: int
    end: int
    offset_frames: float
    """At the middle, with sub-frame precision; 0 where it is foreign."""
    drift_frames: float
    """Change of the offset from beginning to end."""
    probability: float
    """That the frames are in sync at this offset."""


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A stretch with its place in the film and the distances of its windows."""

    stretch: Stretch
    middle_s: float
    distances: Doubles
    """(W, 31)."""
    slope: float | None
    """Drift in frames per window; None where it is too short to tell."""

    @property
    def offset(self) -> float:
        return (self.stretch.first_offset + self.stretch.last_offset) / 2


def judge_film(
    clips: Sequence[FilmClip], model: EvidenceModel, foreign_weight: float = FOREIGN_WEIGHT
) -> list[list[SyncedFrames]]:
    """Return the stretches of every clip, in the order of `clips`; they cover its frames.

    Args:
        clips: all clips of one film, in any order, each of at least one window.
        foreign_weight: as in `decode_stretches`.
    """
    order = sorted(range(len(clips)), key=lambda index: clips[index].start_frame)
    odds = [model.log_odds(clips[index].distances) for index in order]
    priors = offset_priors(odds)
    found = {
        index: _stretches(clips[index], log_odds, prior, foreign_weight)
        for index, log_odds, prior in zip(order, odds, priors, strict=True)
    }
    everything = [one for index in order for one in found[index]]
    return [
        _frames(clip, [_refined(one, everything) for one in found[index]])
        for index, clip in enumerate(clips)
    ]


def judge_corrected(clip: FilmClip, model: EvidenceModel) -> list[SyncedFrames]:
    """Return the stretches of a clip whose offset was taken out: 0 is expected, not certain."""
    prior_H = np.full(NUM_HALVES, math.log((1 - CORRECTED) / NUM_HALVES))
    middle = column_of(0.0)
    prior_H[middle - 1 : middle + 2] = math.log(CORRECTED / 3)
    found = _stretches(clip, model.log_odds(clip.distances), prior_H, FOREIGN_WEIGHT)
    return _frames(clip, [_refined(one, found) for one in found])


def _stretches(
    clip: FilmClip, log_odds_WH: Doubles, prior_H: Doubles, foreign_weight: float
) -> list[_Placed]:
    found = decode_stretches(log_odds_WH, prior_H, foreign_weight)
    return [_placed(clip, one) for one in found]


def _frames(clip: FilmClip, stretches: Sequence[Stretch]) -> list[SyncedFrames]:
    """Turn windows into frames: those at the clip's ends belong to the first and last stretch."""
    lead = (clip.num_frames - len(clip.distances)) // 2
    bounds = [0, *(lead + one.start for one in stretches[1:]), clip.num_frames]
    return [
        SyncedFrames(
            one.kind,
            start,
            end,
            (one.first_offset + one.last_offset) / 2,
            one.drift_frames,
            one.probability,
        )
        for one, (start, end) in zip(stretches, pairwise(bounds), strict=True)
    ]


def _placed(clip: FilmClip, stretch: Stretch) -> _Placed:
    middle = clip.start_frame + (stretch.start + stretch.end) / 2
    distances_WK = clip.distances[stretch.start : stretch.end]
    drift = drift_frames(distances_WK) if stretch.kind == IN_SYNC else None
    slope = None if drift is None else drift / len(distances_WK)
    return _Placed(stretch, middle / FPS, distances_WK, slope)


def _refined(one: _Placed, everything: Sequence[_Placed]) -> Stretch:
    """Return the stretch with the offset and the drift of all that share its clock."""
    if one.stretch.kind != IN_SYNC:
        return one.stretch
    sharing = [other for other in everything if other is one or _shares(one, other)]
    slope = _pooled_slope(one, sharing)
    offset, drift = _pooled_offset(one, sharing, slope), slope * len(one.distances)
    return replace(one.stretch, first_offset=offset - drift / 2, last_offset=offset + drift / 2)


def _pooled_slope(one: _Placed, sharing: Sequence[_Placed]) -> float:
    """Return the weighted mean; a slope's variance falls with the third power of the length."""
    known = [other for other in sharing if other.slope is not None]
    if not known:
        return 0.0
    weights = [_nearness(one, other) * len(other.distances) ** 3 for other in known]
    return float(np.average([other.slope or 0.0 for other in known], weights=weights))


def _pooled_offset(one: _Placed, sharing: Sequence[_Placed], slope: float) -> float:
    """Return the minimum near the stretch's offset of the weighted mean of curves."""
    weights = [_nearness(one, other) * len(other.distances) for other in sharing]
    curves = [curve_along(other.distances, slope * len(other.distances)) for other in sharing]
    fine_H = halves(np.average(curves, axis=0, weights=weights)[None])[0]
    near = round(HALVES * (one.offset + MAX_OFFSET_FRAMES))
    low = max(0, near - HALVES)
    best = low + int(fine_H[low : near + HALVES + 1].argmin())
    return (best + vertex(fine_H, best)) / HALVES - MAX_OFFSET_FRAMES


def _shares(one: _Placed, other: _Placed) -> bool:
    return (
        other.stretch.kind == IN_SYNC
        and other.stretch.log_odds >= LEAST_POOLED_LOG_ODDS
        and abs(other.offset - one.offset) <= SAME_OFFSET_FRAMES
        and abs(other.middle_s - one.middle_s) <= FARTHEST_S
    )


def _nearness(one: _Placed, other: _Placed) -> float:
    far = (other.middle_s - one.middle_s) / SHARED_S
    return float(math.exp(-(far**2) / 2))
