"""Measured clips without files, and with any measurement changed."""

from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.tables.rows import Quality, SyncStretch
from pipeline.tables.run_tables import MeasuredClip
from tests.stages.fake_run import clip, quality, sync, video

FRAMES = 100


def good_quality(clip_id: str, **changes: Any) -> Quality:
    """Return measurements that break no default limit."""
    rng = np.random.default_rng(0)
    fine = replace(
        quality(clip("a.mp4", 0), rng),
        clip_id=clip_id,
        face_px=200.0,
        sharpness=50.0,
        yaw_deg=5.0,
        pitch_deg=5.0,
        mouth_movement=0.05,
        speech_share=0.9,
        snr_db=20.0,
        roll_by_frame=[1.0] * FRAMES,
        change_by_frame=[2.0] * FRAMES,
        cover_by_frame=[0.0] * FRAMES,
        speech_by_frame=[1.0] * FRAMES,
    )
    return replace(fine, **changes)


def measured(number: int, stretch: dict[str, Any] | None = None, **changes: Any) -> MeasuredClip:
    """Return a clip of 100 frames with one stretch in sync; `changes` are of its quality."""
    one = clip(f"film {number}.mp4", 0)
    fine = SyncStretch(
        clip_id=one.clip_id,
        video_id=one.video_id,
        start_frame=one.start_frame,
        end_frame=one.end_frame,
        kind="in_sync",
        offset_frames=2.0,
        drift_frames=0.0,
        probability=0.99,
    )
    return MeasuredClip(
        video=video(f"film {number}.mp4"),
        clip=one,
        sync=sync(one, np.random.default_rng(number)),
        quality=good_quality(one.clip_id, **changes),
        stretches=(replace(fine, **(stretch or {})),),
    )
