"""The decisions of `select` on single clips: thresholds, parts, splits. Pure functions.

Every clip gets exactly one reason, that of the first rule it breaks, in the order of `rules`.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pipeline.params.curation import SelectParams
from pipeline.selection.active_speaker import ScoredClip, non_speakers
from pipeline.selection.decision import Decision, compare, score_of
from pipeline.selection.parts import ClipPart, parts_of
from pipeline.selection.tiers import quiet_tier, talking_tier
from pipeline.tables.rows import Clip, Quality, SyncScore, SyncStretch, Video


@dataclass(frozen=True, slots=True)
class Candidate:
    """One clip with everything that was measured on it."""

    video: Video
    clip: Clip
    sync: SyncScore | None
    quality: Quality | None
    stretches: Sequence[SyncStretch] = ()
    part: ClipPart | None = None
    """The part of the clip that is decided on; None for the whole clip."""
    reason: str = ""
    """Empty while no rule has rejected it."""
    detail: str = ""
    tier: str = ""
    """Of a part that is selected, or of a clip that is kept apart (`pipeline.selection.tiers`)."""

    @property
    def group(self) -> str:
        """All clips of one group are in one split."""
        speaker = self.video.speaker
        return f"speaker:{speaker}" if speaker else f"source:{self.video.video_id}"

    @property
    def start(self) -> int:
        """First frame of the part, counted from the clip's first."""
        return self.part.start if self.part else 0

    @property
    def end(self) -> int:
        """First frame after the part."""
        return self.part.end if self.part else self.clip.num_frames


Check = Callable[[SyncScore, Quality], str]
"""Returns which value breaks the threshold; empty when none does."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A clip is rejected for `reason` when `check` returns a text."""

    reason: str
    check: Check


def rules(
    params: SelectParams, not_speaking: Mapping[str, str] = MappingProxyType({})
) -> list[Rule]:
    """Return the rules in the order in which they apply: image, sound, then both together.

    Args:
        not_speaking: clip_id -> detail of the clips whose sound belongs to another face. This rule
            precedes those on the mouth and on the judge's confidence, which a listening face would
            break for the same cause.
    """
    p = params
    return [
        Rule("face_too_small", _least(lambda q: q.face_px, p.min_face_px)),
        Rule("landmarks_unsure", _least(lambda q: q.landmark_score, p.min_landmark_score)),
        Rule("blurred", _least(lambda q: q.sharpness, p.min_sharpness)),
        Rule("bad_exposure", _least(lambda q: q.luma_mean, p.min_luma)),
        Rule("bad_exposure", _most(lambda q: q.luma_mean, p.max_luma)),
        Rule("clipped_exposure", _most(lambda q: q.clipped_share, p.max_clipped_share)),
        Rule("profile", _most(lambda q: q.yaw_deg, p.max_yaw_deg)),
        Rule("pitched", _most(lambda q: q.pitch_deg, p.max_pitch_deg)),
        Rule("jitter", _most(lambda q: q.jitter, p.max_jitter)),
        Rule("no_speech", _least(lambda q: q.speech_share, p.min_speech_share)),
        Rule("noisy", _least(lambda q: q.snr_db, p.min_snr_db)),
        Rule("not_speaking", lambda s, q: not_speaking.get(s.clip_id, "")),
        Rule("mouth_still", _least(lambda q: q.mouth_movement, p.min_mouth_movement)),
    ]


def _least(measure: Callable[[Quality], float], low: float) -> Check:
    return lambda s, q: "" if measure(q) >= low else f"{measure(q):.4g} (min {low:g})"


def _most(measure: Callable[[Quality], float], high: float) -> Check:
    return lambda s, q: _over(measure(q), high)


def _over(value: float, high: float) -> str:
    return "" if value <= high else f"{value:.4g} (max {high:g})"


def decide(candidates: Iterable[Candidate], params: SelectParams) -> list[Decision]:
    """Return every clip as one or several parts, each with the reason of its rejection or none.

    The parts of a clip cover it without gap. Independent of the order of `candidates`.
    """
    ordered = sorted(candidates, key=lambda one: one.clip.clip_id)
    scored = [ScoredClip(one.clip, one.sync) for one in ordered if one.sync]
    return decide_each(ordered, non_speakers(scored, params), params)


def decide_each(
    candidates: Iterable[Candidate], not_speaking: Mapping[str, str], params: SelectParams
) -> list[Decision]:
    """Do as `decide`, on candidates that need not be in memory together.

    Args:
        candidates: in the order of their clip_id.
        not_speaking: see `rules`.
    """
    table = rules(params, not_speaking)
    judged = [
        decision_of(_with_tier(part, params))
        for one in candidates
        for part in _in_parts(_first_broken(table, one), params)
    ]
    compare(judged, params)
    return judged


def split_of(group: str, params: SelectParams) -> str:
    """Draw train, val or test for a speaker or source by hash: adding data moves no other group."""
    drawn = _unit_hash(f"{params.split_seed}|{group}")
    if drawn < params.val_share:
        return "val"
    return "test" if drawn < params.val_share + params.test_share else "train"


def _first_broken(table: Sequence[Rule], one: Candidate) -> Candidate:
    if one.sync is None:
        return replace(one, reason="no_sync_score", detail="see data/sync/sync.parquet")
    if one.quality is None:
        return replace(one, reason="no_quality", detail="see data/quality/quality.parquet")
    if not one.stretches:
        return replace(one, reason="no_stretches", detail="see data/stretches/stretches.parquet")
    for rule in table:
        if detail := rule.check(one.sync, one.quality):
            return replace(one, reason=rule.reason, detail=detail)
    return one


def _in_parts(one: Candidate, params: SelectParams) -> list[Candidate]:
    """Cut a clip that breaks no rule as a whole; a part that is wrong has its own reason."""
    if one.reason:
        return [one]
    assert one.quality is not None, "a clip without measurements has a reason"
    return [
        replace(one, part=part, reason=part.reason, detail=part.detail)
        for part in parts_of(one.clip, one.quality, one.stretches, params)
    ]


def _with_tier(one: Candidate, params: SelectParams) -> Candidate:
    if one.sync is None or one.quality is None:
        return one
    if one.part and not one.reason:
        return replace(one, tier=talking_tier(one.clip, one.quality, one.part, params.hq))
    whole = (one.start, one.end) == (0, one.clip.num_frames)
    return replace(one, tier=quiet_tier(one.clip, one.quality, one.reason, whole, params))


def decision_of(one: Candidate) -> Decision:
    """Return what is decided on a part of a clip, before parts are compared."""
    sync, quality, part = one.sync, one.quality, one.part
    compared = quality if part or one.tier else None
    return Decision(
        clip_id=one.clip.clip_id,
        video_id=one.video.video_id,
        group=one.group,
        clip_start=one.clip.start_frame,
        num_frames=one.clip.num_frames,
        start=one.start,
        end=one.end,
        reason=one.reason,
        detail=one.detail,
        offset_frames=part.offset_frames if part else 0.0,
        drift_frames=part.drift_frames if part else 0.0,
        probability=part.probability if part else 0.0,
        score=score_of(sync) if sync and quality else None,
        face_px=quality.face_px if quality else 0.0,
        picture=int(compared.picture_hash, 16) if compared else 0,
        sound=int(compared.audio_hash, 16) if compared else 0,
        tier=one.tier,
    )


def _unit_hash(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13
