"""The decisions of `select`: thresholds, near-duplicates, caps, splits. Pure functions.

Every clip gets exactly one reason, that of the first rule it breaks, in the order of `rules`.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from pipeline.params.curation import SelectParams
from pipeline.selection.active_speaker import ScoredClip, non_speakers
from pipeline.selection.confidence import most_confident_first
from pipeline.selection.parts import ClipPart, parts_of
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


def decide(candidates: Iterable[Candidate], params: SelectParams) -> list[Candidate]:
    """Return every clip as one or several parts, each with the reason of its rejection or none.

    The parts of a clip cover it without gap. Independent of the order of `candidates`.
    """
    ordered = sorted(candidates, key=lambda one: one.clip.clip_id)
    scored = [ScoredClip(one.clip, one.sync) for one in ordered if one.sync]
    table = rules(params, non_speakers(scored, params))
    parts = _in_parts(_apply(table, ordered), params)
    judged = _cap(_drop_near_duplicates(parts, params), params)
    return sorted(judged, key=lambda one: (one.clip.clip_id, one.start))


def split_of(group: str, params: SelectParams) -> str:
    """Draw train, val or test for a speaker or source by hash: adding data moves no other group."""
    drawn = _unit_hash(f"{params.split_seed}|{group}")
    if drawn < params.val_share:
        return "val"
    return "test" if drawn < params.val_share + params.test_share else "train"


def _apply(table: Sequence[Rule], candidates: Iterable[Candidate]) -> list[Candidate]:
    return [_first_broken(table, one) for one in candidates]


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


def _in_parts(judged: Iterable[Candidate], params: SelectParams) -> list[Candidate]:
    """Cut the clips that break no rule as a whole; a part that is wrong has its own reason."""
    found: list[Candidate] = []
    for one in judged:
        if one.reason:
            found.append(one)
            continue
        assert one.quality is not None, "a clip without measurements has a reason"
        for part in parts_of(one.clip, one.quality, one.stretches, params):
            found.append(replace(one, part=part, reason=part.reason, detail=part.detail))
    return found


def _drop_near_duplicates(judged: list[Candidate], params: SelectParams) -> list[Candidate]:
    """Keep the most confident clip of every set whose image and audio hashes both match.

    The parts of one clip are no duplicates of each other.
    """
    kept = _KeptHashes(len(judged), params.near_duplicate_bits)
    result = []
    for one in sorted(judged, key=_best_first):
        first = "" if one.reason else kept.duplicate_of_or_add(one)
        result.append(replace(one, reason="near_duplicate", detail=f"of {first}") if first else one)
    return result


class _KeptHashes:
    """The hashes of the clips kept so far, compared in one vectorised step."""

    def __init__(self, capacity: int, bits: int) -> None:
        self.pictures = np.zeros(capacity, np.uint64)
        self.sounds = np.zeros(capacity, np.uint64)
        self.ids: list[str] = []
        self.bits = bits

    def duplicate_of_or_add(self, one: Candidate) -> str:
        """Return the clip_id of a kept near-duplicate, else add this clip and return ''."""
        assert one.quality is not None
        picture = np.uint64(int(one.quality.picture_hash, 16))
        sound = np.uint64(int(one.quality.audio_hash, 16))
        n = len(self.ids)
        near = (np.bitwise_count(self.pictures[:n] ^ picture) <= self.bits) & (
            np.bitwise_count(self.sounds[:n] ^ sound) <= self.bits
        )
        if near.any():
            first = self.ids[int(near.argmax())]
            return "" if first == one.clip.clip_id else first
        self.pictures[n], self.sounds[n] = picture, sound
        self.ids.append(one.clip.clip_id)
        return ""


def _cap(judged: list[Candidate], params: SelectParams) -> list[Candidate]:
    taken: dict[str, int] = defaultdict(int)
    result = []
    for one in sorted(judged, key=_best_first):
        if not one.reason:
            taken[one.video.video_id] += 1
            if taken[one.video.video_id] > params.max_clips_per_source:
                one = replace(one, reason="source_cap", detail=f"{params.max_clips_per_source}")
        result.append(one)
    return result


def _best_first(one: Candidate) -> tuple[bool, tuple[str, float, float, str], int]:
    """Sort key: most confident first; unscored clips, rejected already, come last."""
    key = most_confident_first(one.sync) if one.sync else ("", 0.0, 0.0, one.clip.clip_id)
    return one.sync is None, key, one.start


def _unit_hash(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13
