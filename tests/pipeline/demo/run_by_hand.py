"""Tables of a run and a truth, written by hand: perfect unless a test changes something."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.demo.compare import compare
from pipeline.demo.truth import Face, FileTruth, TrueStretch, write_truth
from pipeline.engine.cache import LocalCache
from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.tables.rows import FPS, Clip, Sample, Scene, Selected, SyncScore, Video
from pipeline.tables.run_tables import table_path

KEPT = {"status": "kept", "reasons": []}
LEFT, RIGHT = (10.0, 10.0, 90.0, 110.0), (210.0, 10.0, 290.0, 110.0)


def face(shot: int, start: int, end: int, **more: Any) -> Face:
    plain = Face(
        shot=shot,
        start_frame=start,
        end_frame=end,
        frames=tuple(range(start, end, 5)),
        boxes=(LEFT,) * len(range(start, end, 5)),
        speaking=True,
        offset_frames=0,
        speech_matches=True,
        should_be_kept=True,
    )
    changed = replace(plain, **more)
    whole = TrueStretch(start_s=start / FPS, end_s=end / FPS, offset_frames=changed.offset_frames)
    if changed.good or changed.bad:
        return changed
    if changed.should_be_kept:
        return replace(changed, good=(whole,))
    return replace(changed, bad=(replace(whole, kind="not_speaking"),))


TRUTH = [
    FileTruth(
        uri="cut.mp4",
        kind="cuts",
        faults=(),
        endings={"ingest": KEPT, "scenes": KEPT, "faces": KEPT},
        num_frames=200,
        cuts=(100,),
        faces=(face(0, 0, 100, offset_frames=4), face(1, 100, 200, offset_frames=4)),
    ),
    FileTruth(
        uri="pair.mp4",
        kind="two_people",
        faults=(),
        endings={"ingest": KEPT, "scenes": KEPT, "faces": KEPT},
        num_frames=100,
        faces=(
            face(0, 0, 100),
            face(
                0,
                0,
                100,
                boxes=(RIGHT,) * 20,
                speaking=False,
                speech_matches=False,
                should_be_kept=False,
            ),
        ),
    ),
    FileTruth(
        uri="zero.mp4",
        kind="zero_bytes",
        faults=(),
        endings={"ingest": {"status": "failed", "reasons": ["empty_file"]}},
    ),
]


def clip(clip_id: str, video: str, start: int, end: int, track: int = 0) -> Clip:
    return Clip(
        clip_id=clip_id, video_id=video, scene=0, track=track, start_frame=start, end_frame=end,
        num_frames=end - start, backend="litert", landmark_schema="mesh468", crop_px=256,
        face_px=100.0, landmark_score=1.0, interpolated_frames=0, num_faces_in_scene=1,
        artifact="key" + clip_id,
    )  # fmt: skip


class Run:
    """The tables of a run, written below a folder; perfect unless changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = LocalCache(folder / "cache")
        self.cuts = [100]
        self.clips = [
            clip("a", "cut", 0, 100),
            clip("b", "cut", 100, 200, 1),
            clip("c", "pair", 0, 100),
            clip("d", "pair", 0, 100, 1),
        ]
        self.boxes = {"a": LEFT, "b": LEFT, "c": LEFT, "d": RIGHT}
        self.offsets = {"a": 4, "b": 4, "c": 0, "d": 7}
        self.kept = ["a", "b", "c"]
        self.reasons = {"d": "not_speaking"}
        self.zero = Part("failed", "empty_file")
        self.truth = TRUTH
        self.failed: dict[str, str] = {}
        """Files that `ingest` fails: uri -> reason."""
        self.applied: dict[str, int] = {}
        """Corrected offsets that are not those of `offsets`."""
        self.spans: dict[str, tuple[str, int, int]] = {}
        """Samples that are parts of clips: clip_id -> video_id, first frame, end."""
        self.sources: dict[str, str] = {}
        """Sample -> the clip of `faces` it is a part of, where it has another name."""

    def metrics(self) -> dict[str, Any]:
        write_truth(self.folder / "truth.json", 0, self.truth)
        self._write("ingest", Video, self._videos())
        starts = [0, *self.cuts, 200]
        scenes = [
            Scene(video_id="cut", scene=i, start_frame=a, end_frame=b)
            for i, (a, b) in enumerate(pairwise(starts))
        ]
        names = {one.uri.removesuffix(".mp4"): one.num_frames for one in self.truth}
        scenes += [
            Scene(video_id=name, scene=0, start_frame=0, end_frame=length)
            for name, length in names.items()
            if name not in ("cut", "zero")
        ]
        self._write("scenes", Scene, self._per_video(scenes))
        self._write("faces", Clip, self._per_video(self.clips))
        self._write_boxes()
        known = [one for one in self.clips if one.clip_id in self.offsets]
        self._write("sync", SyncScore, [_kept(c.clip_id, self._score(c.clip_id)) for c in known])
        self._write("select", Selected, [self._selected(one) for one in known])
        self._write_samples()
        return compare(self.folder / "truth.json", self.folder / "data", self.cache)

    def _videos(self) -> list[Outcome]:
        videos = []
        for uri in [one.uri for one in self.truth if one.uri not in ("zero.mp4", *self.failed)]:
            video = Video(video_id=uri.removesuffix(".mp4"), uri=uri, size_bytes=1)
            videos.append(_kept(uri, video))
        failed = [
            Outcome(uri, "failed", (Part("failed", why),)) for uri, why in self.failed.items()
        ]
        return [*videos, *failed, Outcome("zero.mp4", self.zero.status, (self.zero,))]

    def _per_video(self, rows: Sequence[Any]) -> list[Outcome]:
        videos = sorted({row.video_id for row in rows})
        return [_kept(v, *(row for row in rows if row.video_id == v)) for v in videos]

    def _write_boxes(self) -> None:
        for key in {one.artifact for one in self.clips}:
            self.cache.forget(key)
            with self.cache.workdir() as folder:
                for one in self.clips:
                    if one.artifact == key:
                        boxes = np.array([self.boxes[one.clip_id]] * one.num_frames)
                        np.savez(folder / f"{one.clip_id}.npz", boxes=boxes)
                self.cache.commit(key, {"stage": "faces", "status": "kept", "parts": []}, folder)

    def _score(self, clip_id: str) -> SyncScore:
        offset = self.offsets[clip_id]
        return SyncScore(
            clip_id=clip_id, judge="landmark", mode="masked", offset_frames=offset,
            offset_subframe=float(offset), confidence=0.3, min_distance=1.0, probability=0.95,
        )  # fmt: skip

    def _selected(self, one: Clip) -> Outcome:
        row = Selected(
            clip_id=one.clip_id,
            source_clip_id=one.clip_id,
            video_id=one.video_id,
            split="train",
            group="",
            start_frame=one.start_frame,
            end_frame=one.end_frame,
            offset_frames=0.0,
            drift_frames=0.0,
            probability=0.95,
        )
        if one.clip_id in self.kept:
            return _kept(one.clip_id, row)
        part = Part("rejected", self.reasons.get(one.clip_id, "low_confidence"), "", asdict(row))
        return Outcome(one.clip_id, "rejected", (part,))

    def _write_samples(self) -> None:
        clips = {one.clip_id: one for one in self.clips}
        spans = self.spans or {one: self._trimmed(clips[one]) for one in self.kept}
        rows = [self._sample(one, *span) for one, span in spans.items()]
        self._write("shards", Sample, [_kept(one.clip_id, one) for one in rows])

    def _trimmed(self, one: Clip) -> tuple[str, int, int]:
        """Return a whole clip without the frames that have no sound after the correction."""
        offset = self._applied(one.clip_id)
        return one.video_id, one.start_frame + max(0, offset), one.end_frame + min(0, offset)

    def _applied(self, clip_id: str) -> int:
        return (self.offsets | self.applied).get(clip_id, 0)

    def _sample(self, clip_id: str, video_id: str, start: int, end: int) -> Sample:
        return Sample(
            clip_id=clip_id,
            source_clip_id=self.sources.get(clip_id, clip_id),
            video_id=video_id,
            start_frame=start,
            end_frame=end,
            split="train",
            shard="",
            num_frames=end - start,
            offset_applied_frames=float(self._applied(clip_id)),
            rescored_offset_frames=0.0,
            rescored_confidence=0.3,
        )

    def _write(self, stage: str, row_type: type[Any], outcomes: list[Outcome]) -> None:
        write_table(table_path(self.folder / "data", stage), outcomes, row_type)


def _kept(item_id: str, *rows: Any) -> Outcome:
    return Outcome(item_id, "kept", tuple(Part("kept", row=asdict(row)) for row in rows))
