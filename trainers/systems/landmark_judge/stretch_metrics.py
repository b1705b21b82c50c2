"""What the decoding into stretches keeps of good clips and of clips that are wrong in part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.judge.evidence import EvidenceModel
from pipeline.judge.film import FilmClip, SyncedFrames, judge_film
from pipeline.judge.landmark.calibration import Calibration
from pipeline.params.curation import SelectParams
from pipeline.selection.parts import MARGIN_FRAMES
from pipeline.tables.rows import FPS
from trainers.systems.landmark_judge.cross_validation import JudgedClip
from trainers.systems.landmark_judge.evidence_fit import LEAST_PROBABILITY
from trainers.systems.landmark_judge.spoilt_clips import SpoiltClip

TOLERATED_FRAMES = FPS
"""A kept part may hold one second of wrong sound: less cannot be told."""
TOLERATED_OFFSET = 1.5


@dataclass(frozen=True, slots=True)
class KeptPart:
    """Frames of a clip that would be kept."""

    start: int
    end: int
    offset_frames: float


@dataclass(frozen=True, slots=True)
class SpoiltShare:
    """Clips spoilt in one way, and how many are kept with over a second of wrong sound inside."""

    kind: str
    amount: float
    clips: int
    wrong: int


def kept_parts(stretches: Sequence[SyncedFrames], params: SelectParams) -> list[KeptPart]:
    """Return the parts that `select` would keep by their sync alone."""
    found = []
    for index, one in enumerate(stretches):
        start = one.start + MARGIN_FRAMES * (index > 0)
        end = one.end - MARGIN_FRAMES * (index < len(stretches) - 1)
        long_enough = end - start >= params.min_seconds * FPS
        if long_enough and _right(one, params):
            found.append(KeptPart(start, end, one.offset_frames))
    return found


def _right(one: SyncedFrames, params: SelectParams) -> bool:
    return (
        one.kind == "in_sync"
        and one.probability >= params.min_probability
        and abs(one.drift_frames) <= params.max_drift_frames
        and abs(one.offset_frames) <= params.max_offset_frames
    )


def usable(judged: Sequence[JudgedClip], calibration: Calibration) -> list[JudgedClip]:
    """Return the real clips of 4 s and more that are probably in sync at some offset."""
    return [
        one
        for one in judged
        if one.long_enough
        and one.clip.fold != "vasa1"
        and calibration.probability(one.own) >= LEAST_PROBABILITY
    ]


def seconds_kept(clips: Sequence[JudgedClip], models: Mapping[str, EvidenceModel]) -> float:
    """Return the share of the seconds of unspoilt clips that is kept."""
    params = SelectParams()
    kept = [
        sum(part.end - part.start for part in _parts(one.own.distances, one, models, params))
        for one in clips
    ]
    return sum(kept) / sum(one.clip.num_frames for one in clips)


def spoilt_shares(
    clips: Sequence[JudgedClip], models: Mapping[str, EvidenceModel]
) -> list[SpoiltShare]:
    """Return one entry per way of spoiling; clips that are not kept when unspoilt do not count."""
    params, counts = SelectParams(), dict[tuple[str, float], list[bool]]()
    for one in clips:
        unspoilt = _parts(one.own.distances, one, models, params)
        for spoilt in one.spoilt if unspoilt else ():
            parts = _parts(spoilt.distances, one, models, params)
            wrong = any(_is_wrong(part, spoilt, unspoilt[0].offset_frames) for part in parts)
            counts.setdefault((spoilt.kind, spoilt.amount), []).append(wrong)
    return [SpoiltShare(*key, len(found), sum(found)) for key, found in sorted(counts.items())]


def _parts(
    distances: np.ndarray, one: JudgedClip, models: Mapping[str, EvidenceModel], p: SelectParams
) -> list[KeptPart]:
    frames = len(distances) + one.clip.num_frames - len(one.own.distances)
    (found,) = judge_film([FilmClip(0, frames, distances)], models[one.clip.fold])
    return kept_parts(found, p)


def _is_wrong(part: KeptPart, spoilt: SpoiltClip, offset: float) -> bool:
    """Return whether a part holds more than a second of foreign or displaced sound."""
    change = spoilt.from_frame + offset
    before, after = min(part.end, change) - part.start, part.end - max(part.start, change)
    if spoilt.kind == "foreign":
        return after > TOLERATED_FRAMES
    shifted = offset + spoilt.amount
    wrong_before = before > TOLERATED_FRAMES and abs(part.offset_frames - offset) > TOLERATED_OFFSET
    wrong_after = after > TOLERATED_FRAMES and abs(part.offset_frames - shifted) > TOLERATED_OFFSET
    return wrong_before or wrong_after
