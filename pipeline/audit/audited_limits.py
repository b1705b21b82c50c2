"""The limits of `select` that can be audited: which number each stands on, and where to see it.

Every measure is the number on which `select` decides: a clip, a stretch or a run of frames is
rejected by a limit exactly if its number is beyond it. Only `max_frozen_share` and
`min_speech_share` are also asked of parts of a clip there, and of the whole clip here.

Shape suffix: T frames of the clip.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.params.curation import SelectParams
from pipeline.runs import runs_of
from pipeline.selection.active_speaker import ScoredClip, strongest_rivals
from pipeline.selection.confidence import confidence_value
from pipeline.tables.rows import FPS, Quality
from pipeline.tables.run_tables import ClipJoin, MeasuredClip

SHOWN_FRAMES = 4 * FPS
"""A labeller sees so much at the most."""
NOT_AUDITED = {
    "min_seconds": "how short a sample may be is the trainer's choice; it cannot be seen in it",
    "min_change": "says how far a standing picture reaches, not whether one is there",
    "correct_drift": "a way to treat clips, not a limit",
    "jump_cuts": "a way to treat clips, not a limit",
    "quiet_max_mouth_movement": "sorts clips that do not talk; refuses none that does",
    "hq": "marks clips among those that are kept; refuses none",
    "not_speaking_overlap": "says which faces are compared, not which one speaks",
    "near_duplicate_bits": "compares two clips",
    "max_clips_per_source": "a cap; says nothing of a clip",
    "person_tolerance": "compares two clips",
    "split_by": "draws the splits",
    "val_share": "draws the splits",
    "test_share": "draws the splits",
    "split_seed": "draws the splits",
}
"""Keys of `select` without an audit, and why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A number of a clip and the frames [start, end) that show it."""

    value: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class AuditedLimit:
    """One limit of `select`."""

    name: str
    """Key below `select` in params.yaml."""
    reason: str
    """Of what it rejects."""
    at_most: bool
    """The number may be at most the limit; else at least."""
    limit: float
    moments: Callable[[MeasuredClip], Iterable[Moment]]
    """Of a clip with sync score, measurements and stretches."""
    whole_clip: bool = False
    """The number is that of the clip, not of the frames that are shown."""
    itself: bool = False
    """A number equal to the limit is beyond it."""

    def rejects(self, value: float) -> bool:
        """Return whether a number is beyond the limit."""
        if self.itself and value == self.limit:
            return True
        return value > self.limit if self.at_most else value < self.limit


def audited_limits(
    params: SelectParams, rivals: Mapping[str, float] = MappingProxyType({})
) -> list[AuditedLimit]:
    """Return the limits in force, about in the order in which `select` applies them.

    Args:
        rivals: clip_id -> confidence of the most confident face that is seen at the same time and
            ranks above it, of the clips that have one.
    """
    of_rivals = _of_rivals(params, rivals)
    return [*_of_clips(params), *of_rivals, *_of_stretches(params), *_of_frames(params)]


def rivals_of(join: ClipJoin, params: SelectParams) -> dict[str, float]:
    """Return what `audited_limits` asks for. The clips of the join must not be used up."""
    scored = [
        ScoredClip(clip, join.scores[clip.clip_id])
        for clip in join.clips
        if clip.clip_id in join.scores
    ]
    return {
        one.clip.clip_id: confidence_value(rival.score)
        for one, rival in strongest_rivals(scored, params)
    }


def _of_rivals(p: SelectParams, rivals: Mapping[str, float]) -> list[AuditedLimit]:
    """One limit per judge: from here on the more confident face is taken for the speaker."""

    def of(judge: str) -> Callable[[MeasuredClip], Iterable[Moment]]:
        def moments(one: MeasuredClip) -> Iterable[Moment]:
            value = rivals.get(one.clip.clip_id)
            if value is None or one.sync is None or one.sync.judge != judge:
                return []
            return [Moment(value, *shown_around(0, one.clip.num_frames, one.clip.num_frames))]

        return moments

    limits = (
        ("landmark_min_probability", p.landmark_min_probability, "landmark"),
        ("syncnet_min_confidence", p.syncnet_min_confidence, "syncnet"),
    )
    return [
        AuditedLimit(name, "not_speaking", True, limit, of(judge), whole_clip=True, itself=True)
        for name, limit, judge in limits
    ]


def _of_clips(p: SelectParams) -> list[AuditedLimit]:
    def least(
        name: str, reason: str, limit: float, get: Callable[[Quality], float]
    ) -> AuditedLimit:
        return AuditedLimit(name, reason, False, limit, _middle(get), True)

    def most(name: str, reason: str, limit: float, get: Callable[[Quality], float]) -> AuditedLimit:
        return AuditedLimit(name, reason, True, limit, _middle(get), True)

    return [
        least("min_face_px", "face_too_small", p.min_face_px, lambda q: q.face_px),
        least("min_landmark_score", "landmarks_unsure", p.min_landmark_score, _landmark_score),
        least("min_sharpness", "blurred", p.min_sharpness, lambda q: q.sharpness),
        least("min_luma", "bad_exposure", p.min_luma, lambda q: q.luma_mean),
        most("max_luma", "bad_exposure", p.max_luma, lambda q: q.luma_mean),
        most("max_clipped_share", "clipped_exposure", p.max_clipped_share, _clipped_share),
        most("max_yaw_deg", "profile", p.max_yaw_deg, lambda q: q.yaw_deg),
        most("max_pitch_deg", "pitched", p.max_pitch_deg, lambda q: q.pitch_deg),
        most("max_jitter", "jitter", p.max_jitter, lambda q: q.jitter),
        least("min_speech_share", "no_speech", p.min_speech_share, lambda q: q.speech_share),
        least("min_snr_db", "noisy", p.min_snr_db, lambda q: q.snr_db),
        least("min_mouth_movement", "mouth_still", p.min_mouth_movement, _mouth_movement),
    ]


def _landmark_score(quality: Quality) -> float:
    return quality.landmark_score


def _clipped_share(quality: Quality) -> float:
    return quality.clipped_share


def _mouth_movement(quality: Quality) -> float:
    return quality.mouth_movement


def _of_stretches(p: SelectParams) -> list[AuditedLimit]:
    limits = [
        AuditedLimit(
            "min_probability", "low_confidence", False, p.min_probability, _each("probability")
        ),
        AuditedLimit(
            "max_offset_frames",
            "offset_too_large",
            True,
            float(p.max_offset_frames),
            _each("offset_frames"),
        ),
    ]
    if not p.correct_drift:
        limits.insert(
            1,
            AuditedLimit(
                "max_drift_frames", "drift", True, p.max_drift_frames, _each("drift_frames")
            ),
        )
    return limits


def _of_frames(p: SelectParams) -> list[AuditedLimit]:
    """Limits of a run of frames: one on what a frame shows, one on how long that lasts."""

    def level(series: str, longest: int) -> Callable[[MeasuredClip], Iterable[Moment]]:
        return lambda one: _sustained(_series(one, series), longest + 1)

    def length(series: str, above: float) -> Callable[[MeasuredClip], Iterable[Moment]]:
        return lambda one: _longest(_series(one, series) > above)

    def standing(one: MeasuredClip) -> Iterable[Moment]:
        found = _sustained(-_series(one, "change_by_frame"), p.max_standing_frames + 1)
        return [Moment(-moment.value, moment.start, moment.end) for moment in found]

    def still_length(one: MeasuredClip) -> Iterable[Moment]:
        return _longest(_series(one, "change_by_frame") < p.still_change)

    cover, roll = "cover_by_frame", "roll_by_frame"
    return [
        AuditedLimit("still_change", "standing_picture", False, p.still_change, standing),
        AuditedLimit(
            "max_standing_frames", "standing_picture", True, p.max_standing_frames, still_length
        ),
        AuditedLimit(
            "max_frozen_share", "frozen_picture", True, p.max_frozen_share, _frozen(p.min_change)
        ),
        AuditedLimit(
            "max_cover", "mouth_covered", True, p.max_cover, level(cover, p.max_covered_frames)
        ),
        AuditedLimit(
            "max_covered_frames",
            "mouth_covered",
            True,
            p.max_covered_frames,
            length(cover, p.max_cover),
        ),
        AuditedLimit(
            "max_roll_deg", "rolled", True, p.max_roll_deg, level(roll, p.max_rolled_frames)
        ),
        AuditedLimit(
            "max_rolled_frames", "rolled", True, p.max_rolled_frames, length(roll, p.max_roll_deg)
        ),
    ]


def shown_around(first: int, end: int, frames: int) -> tuple[int, int]:
    """Return up to 4 s of a clip around the middle of frames [first, end)."""
    start = (first + end - SHOWN_FRAMES) // 2
    start = max(0, min(start, frames - SHOWN_FRAMES))
    return start, min(frames, start + SHOWN_FRAMES)


def _middle(get: Callable[[Quality], float]) -> Callable[[MeasuredClip], Iterable[Moment]]:
    def moments(one: MeasuredClip) -> Iterable[Moment]:
        assert one.quality is not None, "only measured clips are asked"
        frames = one.clip.num_frames
        return [Moment(get(one.quality), *shown_around(0, frames, frames))]

    return moments


def _each(column: str) -> Callable[[MeasuredClip], Iterable[Moment]]:
    """Return a moment per stretch in sync, of the size of a number."""

    def moments(one: MeasuredClip) -> Iterable[Moment]:
        begin, frames = one.clip.start_frame, one.clip.num_frames
        for stretch in one.stretches:
            if stretch.kind == "in_sync":
                first, end = stretch.start_frame - begin, stretch.end_frame - begin
                size = abs(float(getattr(stretch, column)))
                start, shown_end = shown_around(first, end, frames)
                yield Moment(size, max(start, first), min(shown_end, end))

    return moments


def _frozen(min_change: float) -> Callable[[MeasuredClip], Iterable[Moment]]:
    def moments(one: MeasuredClip) -> Iterable[Moment]:
        change_T, frames = _series(one, "change_by_frame"), one.clip.num_frames
        if len(change_T) < 2:
            return []
        share = float((change_T[1:] < min_change).mean())
        return [Moment(share, *shown_around(0, frames, frames))]

    return moments


def _series(one: MeasuredClip, name: str) -> NDArray[np.float64]:
    assert one.quality is not None, "only measured clips are asked"
    series_T = np.asarray(getattr(one.quality, name), np.float64)
    return np.abs(series_T) if name == "roll_by_frame" else series_T


def _sustained(series_T: NDArray[np.float64], frames: int) -> list[Moment]:
    """Return the highest level that lasts for so many frames, and where."""
    if len(series_T) < frames:
        return []
    lows = sliding_window_view(series_T, frames).min(axis=1)
    first = int(lows.argmax())
    return [Moment(float(lows[first]), *shown_around(first, first + frames, len(series_T)))]


def _longest(flags_T: NDArray[np.bool_]) -> list[Moment]:
    """Return the length of the longest run, and where; of none, the clip's middle."""
    if not len(flags_T):
        return []
    runs = runs_of(flags_T) or [(len(flags_T) // 2, len(flags_T) // 2)]
    first, end = max(runs, key=lambda run: run[1] - run[0])
    return [Moment(float(end - first), *shown_around(first, end, len(flags_T)))]
