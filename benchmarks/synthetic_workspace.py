"""A workspace in which all stages up to `shards` have finished, with as many clips as wanted.

python -m benchmarks.synthetic_workspace FOLDER CLIPS

The stages' own commands run with a `process` that makes up its rows, so keys, item cache and tables
are those of a real run, and `dvc repro report` finds every item finished. The films are text files:
whoever opens one as a video fails. Every clip has the same small picture, so what is missing are
the bytes of real clips: hashing and packing them is not in a time measured here.
"""

import hashlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np

from benchmarks.bench.child import environment, python, run_child
from benchmarks.bench.workspace import Workspace
from pipeline.tables.rows import (
    FPS,
    Clip,
    Quality,
    Sample,
    Scene,
    SyncScore,
    SyncStretch,
    Video,
)

CLIPS_PER_FILM = 10
CLIP_FRAMES = 150
CROP_PX = 256
STAGES = ("ingest", "scenes", "faces", "sync", "stretches", "quality", "select", "shards")
Process = Callable[[Any, Any, Path], Sequence[Any]]
"""(stage, item, workdir) -> rows."""


def make_workspace(folder: Path, clips: int) -> Workspace:
    """Make a workspace with `clips` clips, ten a film, and let `dvc repro report` take note of it.

    Raises:
        ChildFailedError: a stage or DVC failed.
    """
    films = folder / "films"
    films.mkdir(parents=True)
    for number in range(-(-clips // CLIPS_PER_FILM)):
        (films / f"{number:06d}.mp4").write_text(f"film {number}, not a video\n")
    workspace = Workspace(folder / "workspace", films)
    command = python("benchmarks.synthetic_workspace", "--fill")
    run_child(command, workspace.folder, environment(LIPFORGE_RUNNER="serial"))
    workspace.repro()
    return workspace


def hashed(*parts: object) -> str:
    """Return SHA-256 of the parts, hex."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def share(name: str) -> float:
    """Return a number from 0 to 1 that a name always gets."""
    return int(hashed(name)[:8], 16) / 2**32


@cache
def picture() -> bytes:
    """Return an MP4 of CLIP_FRAMES grey pictures, as `faces` would have written a clip."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", FPS)
        stream.width = stream.height = CROP_PX
        grey = np.full((CROP_PX, CROP_PX, 3), 128, np.uint8)
        for _ in range(CLIP_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def a_video(stage: Any, item: Any, workdir: Path) -> Sequence[Video]:
    """Return what `ingest` would say of a film that holds its clips one behind the other."""
    frames = CLIPS_PER_FILM * CLIP_FRAMES
    return [
        Video(
            video_id=hashed(item.uri),
            uri=item.uri,
            size_bytes=1,
            container="mov,mp4",
            duration_s=frames / FPS,
            num_frames=frames,
            average_fps=FPS,
            real_fps=FPS,
            width=1920,
            height=1080,
            video_codec="h264",
            audio_codec="aac",
            audio_rate_hz=48_000,
            audio_channels=2,
            video_tracks=1,
            video_track=1,
            audio_tracks=1,
            audio_track=1,
        )
    ]


def a_scene(stage: Any, item: Any, workdir: Path) -> Sequence[Scene]:
    """Return one shot for the whole film."""
    video = item.video
    place = {"start_frame": 0, "end_frame": video.num_frames}
    return [Scene(video_id=video.video_id, scene=0, **place)]


def some_clips(stage: Any, item: Any, workdir: Path) -> Sequence[Clip]:
    """Return the film's clips and write their files."""
    rows = [a_clip(item.video.video_id, number) for number in range(CLIPS_PER_FILM)]
    for row in rows:
        (workdir / f"{row.clip_id}.mp4").write_bytes(picture())
        for suffix in ("flac", "npz"):
            (workdir / f"{row.clip_id}.{suffix}").write_text(row.clip_id)
    return rows


def a_clip(video_id: str, number: int) -> Clip:
    """Return the row of one clip."""
    return Clip(
        clip_id=hashed(video_id, number)[:20],
        video_id=video_id,
        scene=0,
        track=0,
        start_frame=number * CLIP_FRAMES,
        end_frame=(number + 1) * CLIP_FRAMES,
        num_frames=CLIP_FRAMES,
        backend="litert",
        landmark_schema="mesh468",
        crop_px=CROP_PX,
        face_px=200.0,
        landmark_score=0.99,
        interpolated_frames=0,
        num_faces_in_scene=1,
    )


def a_score(stage: Any, item: Any, workdir: Path) -> Sequence[SyncScore]:
    """Return a sure score and write its distances."""
    clip_id = item.files.clip.clip_id
    distances = np.full((CLIP_FRAMES, 31), 0.5, np.float32)
    np.savez_compressed(workdir / f"{clip_id}.npz", distances=distances)
    return [
        SyncScore(
            clip_id=clip_id,
            judge="landmark",
            mode="masked",
            offset_frames=0,
            offset_subframe=0.0,
            confidence=5.0,
            min_distance=0.1,
            probability=0.99,
            drift_frames=0.0,
            curve=[abs(offset) / 15 for offset in range(-15, 16)],
        )
    ]


def some_stretches(stage: Any, item: Any, workdir: Path) -> Sequence[SyncStretch]:
    """Return one stretch per clip, in sync with a probability from 0.75 to 1."""
    return [
        SyncStretch(
            clip_id=one.clip.clip_id,
            video_id=one.clip.video_id,
            start_frame=one.clip.start_frame,
            end_frame=one.clip.end_frame,
            kind="in_sync",
            offset_frames=0.0,
            drift_frames=0.0,
            probability=round(0.75 + 0.25 * share(one.clip.clip_id), 4),
        )
        for one in item.clips
    ]


def a_quality(stage: Any, item: Any, workdir: Path) -> Sequence[Quality]:
    """Return measurements that no threshold refuses."""
    clip_id = item.clip.clip_id
    name = hashed("picture", clip_id)
    return [
        Quality(
            clip_id=clip_id,
            face_px=item.clip.face_px,
            sharpness=100.0,
            luma_mean=128.0,
            clipped_share=0.0,
            yaw_deg=5.0,
            pitch_deg=5.0,
            roll_deg=1.0,
            jitter=0.01,
            frozen_share=0.0,
            mouth_movement=0.05,
            landmark_score=0.99,
            speech_share=0.9,
            snr_db=20.0,
            picture_hash=name[:16],
            audio_hash=name[16:32],
            roll_by_frame=[1.0] * CLIP_FRAMES,
            change_by_frame=[3.0] * CLIP_FRAMES,
            cover_by_frame=[0.1] * CLIP_FRAMES,
            speech_by_frame=[0.9] * CLIP_FRAMES,
        )
    ]


def a_sample(stage: Any, item: Any, workdir: Path) -> Sequence[Sample]:
    """Return one sample and write its four members."""
    chosen = item.selected
    for suffix in ("flac", "json", "mp4", "npz"):
        (workdir / f"{chosen.clip_id}.{suffix}").write_text(chosen.clip_id)
    return [
        Sample(
            clip_id=chosen.clip_id,
            source_clip_id=chosen.source_clip_id,
            video_id=chosen.video_id,
            start_frame=chosen.start_frame,
            end_frame=chosen.end_frame,
            split=chosen.split,
            shard="",
            num_frames=chosen.end_frame - chosen.start_frame,
            offset_applied_frames=0.0,
            rescored_offset_frames=0.0,
            rescored_confidence=5.0,
        )
    ]


MADE_UP: dict[tuple[str, str], Process] = {
    ("ingest", "Ingest"): a_video,
    ("scenes", "Scenes"): a_scene,
    ("faces", "Faces"): some_clips,
    ("sync", "Sync"): a_score,
    ("stretches", "Stretches"): some_stretches,
    ("quality", "QualityStage"): a_quality,
    ("shards", "Shards"): a_sample,
}
"""(module of the stage, class) -> what its `process` is replaced by."""


def fill() -> None:
    """Run every stage in the working directory with made-up rows."""
    made_up = {module: (name, process) for (module, name), process in MADE_UP.items()}
    with patch.object(os, "fsync", lambda _: None):  # minutes of waiting for nothing that matters
        for name in STAGES:
            module = importlib.import_module(f"stages.{name}")
            if name not in made_up:
                module.main()
                continue
            stage, process = made_up[name]
            whole = getattr(module, stage)
            with (
                patch.object(whole, "process", process),
                patch.object(whole, "setup", lambda self: None),
                patch.object(whole, "artifacts", lambda self, item: ()),
            ):
                module.main()


def main() -> None:
    """Make a workspace, or fill the one that is the working directory."""
    if sys.argv[1:] == ["--fill"]:
        fill()
    else:
        where, clips = sys.argv[1:]
        made = make_workspace(Path(where).absolute(), int(clips))
        print(f"{made.folder}: `dvc repro report` has nothing to do there")


if __name__ == "__main__":
    main()
