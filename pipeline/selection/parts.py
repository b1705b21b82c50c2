"""Parts of a clip: what is right in every second is kept, the rest is named with its reason.

A clip is cut where its sound becomes foreign or jumps to another offset, where its picture stands
or the person jumps because frames are missing, and where the mouth is covered or the head lies. The
parts cover the clip without gap; those that are right but shorter than `select.min_seconds` are
`rest_too_short`.

Shape suffix: T frames of the clip.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.media.encode import next_cut_frame
from pipeline.params.curation import SelectParams
from pipeline.runs import runs_of
from pipeline.tables.rows import FPS, Clip, Quality, SyncStretch

MAY_BE_COVERED, LIKELY_COVERED, COVER_GAP_FRAMES = 0.2, 0.5, 12
"""Around a stretch in which the mouth is surely covered, frames above the first are left out, too;
beyond a gap of up to so many frames only with one that reaches the second, since free mouths reach
0.3 now and then, and by such frames a cover would grow through a whole clip."""
SILENT_SHARE = 0.1
"""A foreign stretch with less speech is called `no_speech`: nothing was heard to compare."""
MARGIN_FRAMES = 6
"""Left out on both sides of a change of sync inside of a clip: half of what one window of the judge
sees, and one."""

_Span = tuple[int, int]
"""[start, end) in frames of the clip."""


@dataclass(frozen=True, slots=True)
class ClipPart:
    """Frames [start, end) of a clip with one decision."""

    start: int
    """Frame of the clip."""
    end: int
    reason: str
    """Empty where nothing is wrong."""
    detail: str
    offset_frames: float = 0.0
    drift_frames: float = 0.0
    """To be taken out by resampling."""
    probability: float = 0.0


@dataclass(frozen=True, slots=True)
class _Fault:
    start: int
    end: int
    reason: str
    detail: str


def parts_of(
    clip: Clip, quality: Quality, stretches: Sequence[SyncStretch], params: SelectParams
) -> list[ClipPart]:
    """Cut one clip into parts.

    Args:
        stretches: of this clip, in the order of time; they cover it.
    """
    faults = [
        *_picture_faults(quality, params),
        *_sync_faults(clip, stretches, quality, params),
    ]
    bounds = {0, clip.num_frames, *(one.start_frame - clip.start_frame for one in stretches)}
    bounds |= {edge for one in faults for edge in (one.start, one.end)}
    inside = sorted(edge for edge in bounds if 0 <= edge <= clip.num_frames)
    pieces = [_piece(clip, span, faults, stretches) for span in pairwise(inside)]
    parts = _from_cut_frames(_joined(pieces))
    return [_checked(one, quality, params) for one in parts]


def _sync_faults(
    clip: Clip, stretches: Sequence[SyncStretch], quality: Quality, params: SelectParams
) -> Iterable[_Fault]:
    for one in stretches:
        reason, detail = _wrong(one, params)
        if reason:
            start, end = one.start_frame - clip.start_frame, one.end_frame - clip.start_frame
            if float(np.mean(quality.speech_by_frame[start:end])) < SILENT_SHARE:
                reason, detail = "no_speech", "nothing is said in this stretch"
            yield _Fault(start, end, reason, detail)
    for before, after in pairwise(stretches):
        at = after.start_frame - clip.start_frame
        reason, detail = _change(before, after)
        yield _Fault(max(0, at - MARGIN_FRAMES), at + MARGIN_FRAMES, reason, detail)


def _wrong(one: SyncStretch, params: SelectParams) -> tuple[str, str]:
    """Return why a whole stretch is not taken; two empty texts if it is."""
    if one.kind == "foreign":
        return "foreign_sound", "no offset fits well enough"
    if one.probability < params.min_probability:
        return "low_confidence", f"{one.probability:.4g} (min {params.min_probability:g})"
    if abs(one.drift_frames) > params.max_drift_frames and not params.correct_drift:
        return "drift", f"{one.drift_frames:+.1f} (max {params.max_drift_frames:g})"
    if abs(one.offset_frames) > params.max_offset_frames:
        return "offset_too_large", f"{one.offset_frames:+.1f} (max {params.max_offset_frames:g})"
    return "", ""


def _change(before: SyncStretch, after: SyncStretch) -> tuple[str, str]:
    if "foreign" in (before.kind, after.kind):
        return "foreign_sound", "beside a change to or from foreign sound"
    return "offset_step", f"from {before.offset_frames:+.1f} to {after.offset_frames:+.1f}"


def _picture_faults(quality: Quality, params: SelectParams) -> Iterable[_Fault]:
    """Yield what is wrong in a run of frames; most clips have no frame that could begin one."""
    p = params
    if min(quality.change_by_frame, default=np.inf) < p.still_change:
        standing = _standing(np.asarray(quality.change_by_frame), p)
        yield from _faults(standing, p.max_standing_frames, "standing_picture")
    if p.jump_cuts == "cut":
        for frame in quality.jump_cuts:
            yield _Fault(frame, frame + 1, "jump_cut", "frames are missing before it")
    if max(quality.cover_by_frame, default=0.0) > p.max_cover:
        covered = _covered(np.asarray(quality.cover_by_frame), p)
        yield from _faults(covered, p.max_covered_frames, "mouth_covered")
    if max(map(abs, quality.roll_by_frame), default=0.0) > p.max_roll_deg:
        lying = np.abs(np.asarray(quality.roll_by_frame)) > p.max_roll_deg
        yield from _faults(lying, p.max_rolled_frames, "rolled")


def _standing(change_T: NDArray[np.float64], p: SelectParams) -> NDArray[np.bool_]:
    """Return whether the picture stands: below `still_change` for a while, and as long as it stays
    below `min_change` on both sides of that, single frames (key frames of an encoder) apart.

    A head that does not move in silence stays below `min_change` for seconds, but not below
    `still_change`.
    """
    quiet_T = change_T < p.min_change
    quiet_T[1:-1] |= quiet_T[:-2] & quiet_T[2:]
    still = _longer(runs_of(change_T < p.still_change), p.max_standing_frames)
    return _holding(runs_of(quiet_T), still, len(change_T))


def _covered(cover_T: NDArray[np.float64], p: SelectParams) -> NDArray[np.bool_]:
    """Return whether the mouth is covered: surely for a while, and around that as long as it may
    be, with gaps of up to half a second: a cover that moves shows some lip now and then.
    """
    sure = _longer(runs_of(cover_T > p.max_cover), p.max_covered_frames)
    maybe = runs_of(cover_T > MAY_BE_COVERED)
    likely = [run for run in maybe if cover_T[slice(*run)].max() >= LIKELY_COVERED]
    return _holding(_bridged(likely, COVER_GAP_FRAMES), sure, len(cover_T))


def _longer(runs: Sequence[_Span], longest: int) -> list[_Span]:
    return [(start, end) for start, end in runs if end - start > longest]


def _holding(runs: Sequence[_Span], inner: Sequence[_Span], frames: int) -> NDArray[np.bool_]:
    """Return (T,) flags of the runs that hold one of the inner ones."""
    flags_T = np.zeros(frames, np.bool_)
    for start, end in runs:
        flags_T[start:end] = any(start <= first and last <= end for first, last in inner)
    return flags_T


def _bridged(runs: Sequence[_Span], gap: int) -> list[_Span]:
    joined: list[_Span] = []
    for start, end in runs:
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def _faults(flags_T: NDArray[np.bool_], longest: int, reason: str) -> Iterable[_Fault]:
    for start, end in _longer(runs_of(flags_T), longest):
        yield _Fault(start, end, reason, f"{end - start} frames (max {longest})")


def _piece(
    clip: Clip, span: tuple[int, int], faults: Sequence[_Fault], stretches: Sequence[SyncStretch]
) -> ClipPart:
    start, end = span
    fault = next((one for one in faults if one.start <= start and end <= one.end), None)
    if fault is not None:
        return ClipPart(start, end, fault.reason, fault.detail)
    inside = next(one for one in stretches if one.end_frame - clip.start_frame >= end)
    share = (end - start) / (inside.end_frame - inside.start_frame)
    lead = (start + end) / 2 + clip.start_frame - (inside.start_frame + inside.end_frame) / 2
    slope = inside.drift_frames / (inside.end_frame - inside.start_frame)
    return ClipPart(
        start,
        end,
        "",
        "",
        inside.offset_frames + slope * lead,
        inside.drift_frames * share,
        inside.probability,
    )


def _joined(pieces: Sequence[ClipPart]) -> list[ClipPart]:
    """Join neighbours that are rejected for the same reason."""
    joined: list[ClipPart] = []
    for one in pieces:
        last = joined[-1] if joined else None
        if last and one.reason and last.reason == one.reason:
            longer = max(last, one, key=lambda part: part.end - part.start)
            joined[-1] = ClipPart(last.start, one.end, last.reason, longer.detail)
        else:
            joined.append(one)
    return joined


def _from_cut_frames(parts: Sequence[ClipPart]) -> list[ClipPart]:
    """Let good parts begin where the encoded picture can be cut; what is before goes to the part
    that is left out.
    """
    moved = list(parts)
    for index in range(1, len(moved)):
        one, before = moved[index], moved[index - 1]
        start = min(next_cut_frame(one.start), one.end)
        if not one.reason and before.reason:
            slope = one.drift_frames / (one.end - one.start)
            offset = one.offset_frames + slope * (start - one.start) / 2
            drift = one.drift_frames - slope * (start - one.start)
            moved[index] = replace(one, start=start, offset_frames=offset, drift_frames=drift)
            moved[index - 1] = replace(before, end=start)
    return [one for one in moved if one.end > one.start]


def _checked(part: ClipPart, quality: Quality, params: SelectParams) -> ClipPart:
    """Reject what is right but short, without speech, or of too few pictures."""
    if part.reason:
        return part
    frames, least = part.end - part.start, round(params.min_seconds * FPS)
    if frames < least:
        detail = f"{frames} frames remain, the minimum is {least}"
        return ClipPart(part.start, part.end, "rest_too_short", detail)
    return _without_speech(part, quality, params) or _frozen(part, quality, params) or part


def _frozen(part: ClipPart, quality: Quality, params: SelectParams) -> ClipPart | None:
    """Reject a picture that repeats too often: a source of very few frames per second."""
    change = np.asarray(quality.change_by_frame[part.start + 1 : part.end])
    share = float((change < params.min_change).mean())
    if share <= params.max_frozen_share:
        return None
    detail = f"{share:.4g} (max {params.max_frozen_share:g})"
    return ClipPart(part.start, part.end, "frozen_picture", detail)


def _without_speech(part: ClipPart, quality: Quality, params: SelectParams) -> ClipPart | None:
    speech = float(np.mean(quality.speech_by_frame[part.start : part.end]))
    if speech < params.min_speech_share:
        detail = f"{speech:.4g} (min {params.min_speech_share:g})"
        return ClipPart(part.start, part.end, "no_speech", detail)
    return None
