"""All clips of one film together: stretches in sync, one sub-frame offset for what shares a clock.

1. The other clips of the film say which offsets a clip may have (`pipeline.judge.clock`).
2. Each clip is cut into stretches (`pipeline.judge.stretches`).
3. The sub-frame offset of a stretch is the minimum of the mean curve of all stretches of the film
   that have the same offset within a frame, the nearer in time the heavier.

Shape suffixes: W windows (one per frame), K = 31 offsets from -15 to +15, H = 61 halves of a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pipeline.judge.clock import offset_priors
from pipeline.judge.curve import MAX_OFFSET_FRAMES, Doubles, filled, vertex
from pipeline.judge.evidence import HALVES, NUM_HALVES, EvidenceModel, column_of, halves
from pipeline.judge.stretches import IN_SYNC, Stretch, decode_stretches
from pipeline.tables.rows import FPS

SHARED_S = 30.0
"""Stretches of the same offset this far apart weigh exp(-1/2) of the stretch's own."""
SAME_OFFSET_FRAMES = 1.0
LEAST_POOLED_LOG_ODDS = 3.0
"""Stretches that are less sure have no say in another one's offset."""


CORRECTED = 0.9
"""Share of corrected clips that are within half a frame of 0, before anything is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedClip:
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
    """A stretch with its place in the film and the mean curve of its windows."""

    stretch: Stretch
    middle_s: float
    curve: Doubles
    """(31,)"""

    @property
    def offset(self) -> float:
        return (self.stretch.first_offset + self.stretch.last_offset) / 2


def judge_film(clips: Sequence[JudgedClip], model: EvidenceModel) -> list[list[SyncedFrames]]:
    """Return the stretches of every clip, in the order of `clips`; they cover its frames.

    Args:
        clips: all clips of one film, in any order, each of at least one window.
    """
    order = sorted(range(len(clips)), key=lambda index: clips[index].start_frame)
    odds = [model.log_odds(clips[index].distances) for index in order]
    priors = offset_priors(odds)
    found = {
        index: _stretches(clips[index], log_odds, prior)
        for index, log_odds, prior in zip(order, odds, priors, strict=True)
    }
    everything = [one for index in order for one in found[index]]
    return [
        _frames(clip, [_refined(one, everything) for one in found[index]])
        for index, clip in enumerate(clips)
    ]


def judge_corrected(clip: JudgedClip, model: EvidenceModel) -> list[SyncedFrames]:
    """Return the stretches of a clip whose offset was taken out: 0 is expected, not certain."""
    prior_H = np.full(NUM_HALVES, np.log((1 - CORRECTED) / NUM_HALVES))
    middle = column_of(0.0)
    prior_H[middle - 1 : middle + 2] = np.log(CORRECTED / 3)
    found = _stretches(clip, model.log_odds(clip.distances), prior_H)
    return _frames(clip, [_refined(one, found) for one in found])


def _stretches(clip: JudgedClip, log_odds_WH: Doubles, prior_H: Doubles) -> list[_Placed]:
    return [_placed(clip, one) for one in decode_stretches(log_odds_WH, prior_H)]


def _frames(clip: JudgedClip, stretches: Sequence[Stretch]) -> list[SyncedFrames]:
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


def _placed(clip: JudgedClip, stretch: Stretch) -> _Placed:
    middle = clip.start_frame + (stretch.start + stretch.end) / 2
    curve_K = filled(clip.distances[stretch.start : stretch.end]).mean(axis=0)
    return _Placed(stretch, middle / FPS, curve_K)


def _refined(one: _Placed, everything: Sequence[_Placed]) -> Stretch:
    """Return the stretch with the sub-frame offset of all that share its clock."""
    if one.stretch.kind != IN_SYNC:
        return one.stretch
    offset = pooled_offset(one, everything)
    drift = one.stretch.drift_frames
    return replace(one.stretch, first_offset=offset - drift / 2, last_offset=offset + drift / 2)


def pooled_offset(one: _Placed, everything: Sequence[_Placed]) -> float:
    """Return the minimum near the stretch's offset of the weighted mean of curves."""
    sharing = [other for other in everything if other is one or _shares(one, other)]
    weights = [_weight(one, other) for other in sharing]
    curve_K = np.average([other.curve for other in sharing], axis=0, weights=weights)
    fine_H = halves(curve_K[None])[0]
    near = round(HALVES * (one.offset + MAX_OFFSET_FRAMES))
    low = max(0, near - HALVES)
    best = low + int(fine_H[low : near + HALVES + 1].argmin())
    return (best + vertex(fine_H, best)) / HALVES - MAX_OFFSET_FRAMES


def _shares(one: _Placed, other: _Placed) -> bool:
    return (
        other.stretch.kind == IN_SYNC
        and other.stretch.log_odds >= LEAST_POOLED_LOG_ODDS
        and abs(other.offset - one.offset) <= SAME_OFFSET_FRAMES
        and abs(other.stretch.drift_frames) <= SAME_OFFSET_FRAMES
    )


def _weight(one: _Placed, other: _Placed) -> float:
    far = (other.middle_s - one.middle_s) / SHARED_S
    return (other.stretch.end - other.stretch.start) * float(np.exp(-(far**2) / 2))
