"""Tiers: `base` and `hq` of what is selected, `silent` and `listening` of what is not.

An `hq` clip is a `base` clip that is within `select.hq`, too. A quiet clip breaks one rule alone:
nothing is said in its sound, or what is said is not said by this face. It is no talking-face data
and stays rejected for that reason, but a system that is to keep a mouth shut can learn from it.

Shape suffix: T frames.
"""

import numpy as np

from pipeline.params.curation import HqParams, SelectParams
from pipeline.selection.parts import ClipPart, parts_of
from pipeline.tables.rows import BASE, FPS, HQ, LISTENING, SILENT, Clip, Quality, SyncStretch

_OTHERS_SPEAK = ("not_speaking", "mouth_still", "foreign_sound")
"""Reasons for which a clip in which somebody speaks may show a listener."""


def talking_tier(clip: Clip, quality: Quality, part: ClipPart, params: HqParams) -> str:
    """Return the tier of a part that no rule rejects."""
    return HQ if not hq_fault(clip, quality, part, params) else BASE


def hq_fault(clip: Clip, quality: Quality, part: ClipPart, params: HqParams) -> str:
    """Return the first limit of `select.hq` that a part breaks; empty if it breaks none.

    Cover and speech are those of the part, the rest is known of the whole clip only.
    """
    p, frames = params, slice(part.start, part.end)
    cover, speech = quality.cover_by_frame[frames], quality.speech_by_frame[frames]
    within = {
        "min_face_px": quality.face_px >= p.min_face_px,
        "min_sharpness": quality.sharpness >= p.min_sharpness,
        "min_landmark_score": quality.landmark_score >= p.min_landmark_score,
        "max_clipped_share": quality.clipped_share <= p.max_clipped_share,
        "max_yaw_deg": quality.yaw_deg <= p.max_yaw_deg,
        "max_pitch_deg": quality.pitch_deg <= p.max_pitch_deg,
        "max_jitter": quality.jitter <= p.max_jitter,
        "min_snr_db": quality.snr_db >= p.min_snr_db,
        "min_probability": part.probability >= p.min_probability,
        "min_speech_share": float(np.mean(speech or [0.0])) >= p.min_speech_share,
        "max_cover": _worst_second(cover) <= p.max_cover,
        "max_faulty_frames": _faulty_frames(clip) <= p.max_faulty_frames,
    }
    return next((name for name, right in within.items() if not right), "")


def quiet_tier(clip: Clip, quality: Quality, reason: str, whole: bool, params: SelectParams) -> str:
    """Return `silent`, `listening`, or an empty text for a clip that is neither.

    Args:
        reason: why the clip is rejected. The rules on picture and noise come before these, so none
            of them is broken; faults of single seconds are looked for here.
        whole: whether the reason holds for the whole clip.
    """
    tier = _kind(quality, reason) if whole else ""
    moves = quality.mouth_movement > params.quiet_max_mouth_movement
    return "" if moves or not tier or _faulty_somewhere(clip, quality, params) else tier


def _kind(quality: Quality, reason: str) -> str:
    if reason == "no_speech" and quality.speech_share == 0:
        return SILENT
    heard = quality.speech_share > 0
    return LISTENING if heard and reason in _OTHERS_SPEAK else ""


def _faulty_somewhere(clip: Clip, quality: Quality, params: SelectParams) -> bool:
    """Return whether a part of the clip would be cut out for its picture, or the clip is short."""
    in_sync = SyncStretch(
        clip_id=clip.clip_id,
        video_id=clip.video_id,
        start_frame=clip.start_frame,
        end_frame=clip.end_frame,
        kind="in_sync",
        offset_frames=0.0,
        drift_frames=0.0,
        probability=1.0,
    )
    picture_alone = params.model_copy(update={"min_speech_share": 0.0})
    parts = parts_of(clip, quality, [in_sync], picture_alone)
    return len(parts) > 1 or bool(parts[0].reason)


def _worst_second(cover: list[float]) -> float:
    """Return the largest mean over a second."""
    cover_T = np.asarray(cover or [0.0])
    window = min(FPS, len(cover_T))
    return float(np.convolve(cover_T, np.full(window, 1 / window), "valid").max())


def _faulty_frames(clip: Clip) -> int:
    return clip.interpolated_frames + clip.damaged_frames + clip.held_frames
