"""Tables as a whole run leaves them: every ending, hostile file names, clips with pictures."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.tables.rows import (
    Clip,
    Quality,
    Sample,
    Scene,
    Selected,
    SyncScore,
    SyncStretch,
    Video,
)
from pipeline.tables.run_tables import table_path

HOSTILE = (
    "<script>document.title='owned'</script>.mp4",
    "a folder/with \"quotes\" & 'more'.mp4",
    "line\nbreak \u202e\x1b[31m.mp4",
    "<img src=x onerror=document.title='owned'>.mp4",
    "{{ 7 * 7 }} $HOME.mp4",
    "\u00fcbung \u4f60\u597d.mp4",
)
REASONS = ("offset_too_large", "low_confidence", "face_too_small", "mouth_still", "blurred")


def video_id(uri: str) -> str:
    return hashlib.sha256(uri.encode("utf-8", "surrogateescape")).hexdigest()


def video(uri: str) -> Video:
    return Video(
        video_id=video_id(uri),
        uri=uri,
        size_bytes=1_000_000,
        licence="CC BY 4.0",
        speaker="<b>Ann</b>",
        duration_s=20.0,
        num_frames=500,
        real_fps=29.97,
        width=1280,
        height=720,
    )


def clip(uri: str, part: int, artifact: str = "key") -> Clip:
    return Clip(
        clip_id=hashlib.sha256(f"{uri}|{part}".encode()).hexdigest(),
        video_id=video_id(uri),
        scene=part,
        track=0,
        start_frame=part * 100,
        end_frame=part * 100 + 100,
        num_frames=100,
        backend="litert",
        landmark_schema="mesh468",
        crop_px=256,
        face_px=60.0 + 40 * part,
        landmark_score=0.95,
        interpolated_frames=0,
        num_faces_in_scene=1,
        artifact=artifact,
    )


def sync(one: Clip, rng: np.random.Generator, **changes: Any) -> SyncScore:
    offset = int(np.clip(np.rint(rng.normal(0, 3)), -15, 15))
    distance = np.abs(np.arange(-15, 16) - offset)
    curve = 0.9 - 0.3 * np.exp(-(distance**2) / 8) + rng.normal(0, 0.01, 31)
    score = SyncScore(
        clip_id=one.clip_id,
        judge="landmark",
        mode="masked",
        offset_frames=offset,
        offset_subframe=float(offset),
        confidence=float(rng.uniform(0.02, 0.4)),
        min_distance=float(curve.min()),
        probability=float(rng.beta(4, 1)),
        drift_frames=float(rng.normal(0, 0.5)),
        curve=curve.tolist(),
    )
    return replace(score, **changes)


def stretches(uri: str, clips: list[Clip]) -> Outcome:
    """One stretch in sync per clip."""
    rows = [
        SyncStretch(
            clip_id=one.clip_id,
            video_id=one.video_id,
            start_frame=one.start_frame,
            end_frame=one.end_frame,
            kind="in_sync",
            offset_frames=1.0,
            drift_frames=0.0,
            probability=0.97,
        )
        for one in clips
    ]
    return _kept_rows(uri, rows)


def quality(one: Clip, rng: np.random.Generator) -> Quality:
    return Quality(
        clip_id=one.clip_id,
        face_px=one.face_px,
        sharpness=float(rng.gamma(3, 8)),
        luma_mean=120.0,
        clipped_share=0.0,
        yaw_deg=float(abs(rng.normal(0, 20))),
        pitch_deg=float(abs(rng.normal(0, 8))),
        roll_deg=3.0,
        jitter=0.01,
        frozen_share=0.0,
        mouth_movement=float(rng.uniform(0, 0.07)),
        landmark_score=0.95,
        speech_share=float(rng.uniform(0.1, 1)),
        snr_db=float(rng.normal(20, 8)),
        picture_hash="0" * 16,
        audio_hash="0" * 16,
    )


def kept(item: str, rows: Iterable[Any]) -> Outcome:
    return Outcome(item, "kept", tuple(Part("kept", row=asdict(row)) for row in rows), "cachekey")


def ended(item: str, status: Any, reason: str, detail: str = "", row: Any = None) -> Outcome:
    part = Part(status, reason, detail, asdict(row) if row else None)
    return Outcome(item, status, (part,))


def selected(index: int, one: Clip) -> Outcome:
    row = Selected(
        clip_id=one.clip_id,
        video_id=one.video_id,
        split=("train", "train", "train", "val", "test")[index % 5],
        group="speaker:<b>Ann</b>",
        source_clip_id=one.clip_id,
        start_frame=one.start_frame,
        end_frame=one.end_frame,
        offset_frames=1.0,
        drift_frames=0.0,
        probability=0.97,
    )
    if index % 3 == 2:
        reason = REASONS[index // 3 % len(REASONS)]
        return ended(one.clip_id, "rejected", reason, "13 (<= 12)", replace(row, split=""))
    return kept(one.clip_id, [row])


def packed(index: int, outcome: Outcome) -> Outcome:
    row = outcome.parts[0].row
    assert row is not None
    if index == 0:
        return ended(outcome.item_id, "rejected", "offset_not_fixed", "re-scored at +4")
    sample = Sample(
        clip_id=row["clip_id"],
        source_clip_id=row["source_clip_id"],
        video_id=row["video_id"],
        start_frame=row["start_frame"],
        end_frame=row["end_frame"] - 1,
        split=row["split"],
        shard="train-000000.tar",
        num_frames=99,
        offset_applied_frames=1.0,
        rescored_offset_frames=0.1,
        rescored_confidence=0.2,
    )
    return kept(outcome.item_id, [sample])


def write_run(
    data: Path, uris: Iterable[str] = HOSTILE, clips_each: int = 3, **score: Any
) -> list[Clip]:
    """Write all tables and return the clips; `score` changes every row of `sync`."""
    uris = list(uris)
    rng = np.random.default_rng(0)
    clips = [clip(uri, part) for uri in uris for part in range(clips_each)]
    ingest = [kept(uri, [video(uri)]) for uri in uris]
    ingest += [
        ended("zero.mp4", "failed", "empty_file", "<i>no bytes</i>"),
        ended("again.mp4", "rejected", "duplicate", f"same bytes as {uris[0]}", video(uris[0])),
        ended("crash.mp4", "quarantined", "worker_died", "signal 11\nat <frame 3>"),
    ]
    of = [clips[n * clips_each : (n + 1) * clips_each] for n in range(len(uris))]
    scenes = [_kept_rows(u, [_scene(one) for one in c]) for u, c in zip(uris, of, strict=True)]
    faces = [_kept_rows(uri, c) for uri, c in zip(uris, of, strict=True)]
    decided = [selected(index, one) for index, one in enumerate(clips)]
    quality_rows = [kept(one.clip_id, [quality(one, rng)]) for one in clips[:-1]]
    if clips:
        quality_rows.append(ended(clips[-1].clip_id, "failed", "decode_error", "a \x00 byte"))
    tables: dict[str, tuple[list[Outcome], type[Any]]] = {
        "ingest": (ingest, Video),
        "scenes": (scenes, Scene),
        "faces": (faces, Clip),
        "sync": ([kept(one.clip_id, [sync(one, rng, **score)]) for one in clips], SyncScore),
        "stretches": ([stretches(uri, c) for uri, c in zip(uris, of, strict=True)], SyncStretch),
        "quality": (quality_rows, Quality),
        "select": (decided, Selected),
        "shards": (
            [packed(i, one) for i, one in enumerate(o for o in decided if o.status == "kept")],
            Sample,
        ),
    }
    for stage, (outcomes, row_type) in tables.items():
        write_table(table_path(data, stage), outcomes, row_type)
    return clips


def _kept_rows(uri: str, rows: list[Any]) -> Outcome:
    return kept(video_id(uri), rows) if rows else ended(video_id(uri), "rejected", "no_face")


def _scene(one: Clip) -> Scene:
    return Scene(
        video_id=one.video_id, scene=one.scene, start_frame=one.start_frame, end_frame=one.end_frame
    )
