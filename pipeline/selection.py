"""The decisions of `select`: thresholds, near-duplicates, caps, splits. Pure functions.

Every clip gets exactly one reason, that of the first rule it breaks, in the order of RULES.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.params import SelectParams
from pipeline.rows import Clip, Quality, SyncScore, Video


@dataclass(frozen=True, slots=True)
class Candidate:
    """One clip with all that was measured of it."""

    video: Video
    clip: Clip
    sync: SyncScore | None
    quality: Quality | None
    reason: str = ""
    """Empty while no rule has rejected it."""
    detail: str = ""

    @property
    def group(self) -> str:
        """What must not be torn apart by the split."""
        speaker = self.video.speaker
        return f"speaker:{speaker}" if speaker else f"source:{self.video.video_id}"


Measure = Callable[[SyncScore, Quality], float]


@dataclass(frozen=True, slots=True)
class Rule:
    """One threshold: the clip is rejected for `reason` when `measure` is outside [low, high]."""

    reason: str
    measure: Measure
    low: float = float("-inf")
    high: float = float("inf")


def rules(params: SelectParams) -> list[Rule]:
    """Return the thresholds in the order in which they blame."""
    p = params
    return [
        Rule("face_too_small", lambda s, q: q.face_px, low=p.min_face_px),
        Rule("landmarks_unsure", lambda s, q: q.landmark_score, low=p.min_landmark_score),
        Rule("blurred", lambda s, q: q.sharpness, low=p.min_sharpness),
        Rule("bad_exposure", lambda s, q: q.luma_mean, p.min_luma, p.max_luma),
        Rule("clipped_exposure", lambda s, q: q.clipped_share, high=p.max_clipped_share),
        Rule("profile", lambda s, q: q.yaw_deg, high=p.max_yaw_deg),
        Rule("pitched", lambda s, q: q.pitch_deg, high=p.max_pitch_deg),
        Rule("jitter", lambda s, q: q.jitter, high=p.max_jitter),
        Rule("frozen_picture", lambda s, q: q.frozen_share, high=p.max_frozen_share),
        Rule("no_speech", lambda s, q: q.speech_share, low=p.min_speech_share),
        Rule("noisy", lambda s, q: q.snr_db, low=p.min_snr_db),
        Rule("mouth_still", lambda s, q: q.mouth_movement, low=p.min_mouth_movement),
        Rule("low_confidence", lambda s, q: s.confidence, low=p.min_confidence),
        Rule("offset_too_large", lambda s, q: abs(s.offset_frames), high=p.max_offset_frames),
    ]


def decide(candidates: Iterable[Candidate], params: SelectParams) -> list[Candidate]:
    """Return every candidate, with the reason of its rejection or none.

    Independent of the order of `candidates`.
    """
    ordered = sorted(candidates, key=lambda one: one.clip.clip_id)
    judged = _cap(_drop_near_duplicates(_apply(rules(params), ordered), params), params)
    return sorted(judged, key=lambda one: one.clip.clip_id)


def split_of(group: str, params: SelectParams) -> str:
    """Draw train, val or test for a speaker or a source, by hash: adding data moves nobody."""
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
    for rule in table:
        value = rule.measure(one.sync, one.quality)
        if not rule.low <= value <= rule.high:
            limit = f"min {rule.low:g}" if value < rule.low else f"max {rule.high:g}"
            return replace(one, reason=rule.reason, detail=f"{value:.4g} ({limit})")
    return one


def _drop_near_duplicates(judged: list[Candidate], params: SelectParams) -> list[Candidate]:
    """Keep the surest clip of every set whose picture and sound both look the same."""
    winners = _Winners(len(judged), params.near_duplicate_bits)
    result = []
    for one in sorted(judged, key=_best_first):
        twin = "" if one.reason else winners.twin_or_add(one)
        result.append(replace(one, reason="near_duplicate", detail=f"of {twin}") if twin else one)
    return result


class _Winners:
    """The clips kept so far and their hashes, compared all at once."""

    def __init__(self, capacity: int, bits: int) -> None:
        self.pictures = np.zeros(capacity, np.uint64)
        self.sounds = np.zeros(capacity, np.uint64)
        self.ids: list[str] = []
        self.bits = bits

    def twin_or_add(self, one: Candidate) -> str:
        """Return the id of a near-duplicate that is kept already, else keep this one."""
        assert one.quality is not None
        picture = np.uint64(int(one.quality.picture_hash, 16))
        sound = np.uint64(int(one.quality.audio_hash, 16))
        n = len(self.ids)
        near = (np.bitwise_count(self.pictures[:n] ^ picture) <= self.bits) & (
            np.bitwise_count(self.sounds[:n] ^ sound) <= self.bits
        )
        if near.any():
            return self.ids[int(near.argmax())]
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


def _best_first(one: Candidate) -> tuple[float, str]:
    return (-one.sync.confidence if one.sync else 0.0, one.clip.clip_id)


def _unit_hash(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13
