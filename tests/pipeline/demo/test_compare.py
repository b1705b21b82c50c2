"""The comparison itself: a perfect run scores 1, every kind of error costs what it should."""

import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipeline.demo.compare import _paired, compare, render_table
from pipeline.demo.truth import Face, FileTruth, write_truth
from pipeline.engine.cache import LocalCache
from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.errors import ManifestError
from pipeline.tables.rows import Clip, Sample, Scene, Selected, SyncScore, Video
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
    return replace(plain, **more)


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

    def metrics(self) -> dict[str, Any]:
        write_truth(self.folder / "truth.json", 0, TRUTH)
        self._write("ingest", Video, self._videos())
        starts = [0, *self.cuts, 200]
        scenes = [
            Scene(video_id="cut", scene=i, start_frame=a, end_frame=b, decoder="decord")
            for i, (a, b) in enumerate(pairwise(starts))
        ]
        whole = Scene(video_id="pair", scene=0, start_frame=0, end_frame=100, decoder="decord")
        self._write("scenes", Scene, self._per_video([*scenes, whole]))
        self._write("faces", Clip, self._per_video(self.clips))
        self._write_boxes()
        known = [one for one in self.clips if one.clip_id in self.offsets]
        self._write("sync", SyncScore, [_kept(c.clip_id, self._score(c.clip_id)) for c in known])
        self._write("select", Selected, [self._selected(one) for one in known])
        self._write("shards", Sample, [_kept(c, _sample(c)) for c in self.kept])
        return compare(self.folder / "truth.json", self.folder / "data", self.cache)

    def _videos(self) -> list[Outcome]:
        names = {"cut.mp4": "cut", "pair.mp4": "pair"}
        videos = [
            _kept(uri, Video(video_id=video, uri=uri, size_bytes=1)) for uri, video in names.items()
        ]
        return [*videos, Outcome("zero.mp4", self.zero.status, (self.zero,))]

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
            clip_id=one.clip_id, video_id=one.video_id, split="train", group="", offset_frames=0
        )
        if one.clip_id in self.kept:
            return _kept(one.clip_id, row)
        part = Part("rejected", self.reasons.get(one.clip_id, "low_confidence"), "", asdict(row))
        return Outcome(one.clip_id, "rejected", (part,))

    def _write(self, stage: str, row_type: type[Any], outcomes: list[Outcome]) -> None:
        write_table(table_path(self.folder / "data", stage), outcomes, row_type)


def _kept(item_id: str, *rows: Any) -> Outcome:
    return Outcome(item_id, "kept", tuple(Part("kept", row=asdict(row)) for row in rows))


def _sample(clip_id: str) -> Sample:
    return Sample(
        clip_id=clip_id, video_id="", split="train", shard="", num_frames=100,
        offset_applied_frames=0, rescored_offset_frames=0, rescored_confidence=0.3,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_perfect_run_scores_one_everywhere(run: Run) -> None:
    metrics = run.metrics()
    assert metrics["wrong"] == []
    for name in (
        "cuts_f1", "faces_precision", "faces_recall", "kept_precision", "kept_recall",
        "offset_within_1_frame", "endings_right", "speaker_found",
    ):  # fmt: skip
        assert metrics[name] == 1.0
    assert (metrics["kept_true"], metrics["offset_clips"], metrics["cuts_true"]) == (3, 3, 1)
    assert metrics["speaker_shots"] == 1


@pytest.mark.parametrize(
    ("cuts", "precision", "recall"),
    [
        ([101], 1.0, 1.0),
        ([102], 0.0, 0.0),
        ([50, 100], 0.5, 1.0),
        ([99, 100], 0.5, 1.0),
        ([], 1, 0),
    ],
)
def test_a_cut_counts_once_and_within_one_frame(
    run: Run, cuts: list[int], precision: float, recall: float
) -> None:
    run.cuts = cuts
    metrics = run.metrics()
    assert (metrics["cuts_precision"], metrics["cuts_recall"]) == (precision, recall)
    assert bool(metrics["wrong"]) == (precision < 1 or recall < 1)


def test_one_found_cut_does_not_answer_for_two_true_ones() -> None:
    assert _paired((100, 101), (100,)) == 1
    assert _paired((100, 101), (100, 101)) == 2


def test_keeping_the_silent_face_costs_precision_and_losing_a_speaker_recall(run: Run) -> None:
    run.kept = ["a", "d"]
    metrics = run.metrics()
    assert metrics["kept_precision"] == pytest.approx(1 / 2)
    assert metrics["kept_recall"] == pytest.approx(1 / 3)
    assert any("pair.mp4" in line and "low_confidence" in line for line in metrics["wrong"])


@pytest.mark.parametrize(
    ("kept", "reasons", "named"),
    [
        ("abc", {"d": "low_confidence"}, "a listener, clip d, was rejected for low_confidence"),
        ("abcd", {}, "a listener, clip d, was taken for the speaker"),
        ("abd", {"c": "not_speaking"}, "the speaker, clip c, was rejected for not_speaking"),
    ],
)
def test_a_listener_that_is_not_told_from_the_speaker_is_counted_and_named(
    run: Run, kept: str, reasons: dict[str, str], named: str
) -> None:
    run.kept, run.reasons = list(kept), reasons
    metrics = run.metrics()
    assert metrics["speaker_found"] == 0.0
    assert f"pair.mp4: shot 0: {named}" in metrics["wrong"]


def test_a_shot_of_which_one_face_gave_no_clip_says_nothing_of_speakers(run: Run) -> None:
    run.clips = [one for one in run.clips if one.clip_id != "d"]
    del run.offsets["d"]
    metrics = run.metrics()
    assert (metrics["speaker_found"], metrics["speaker_shots"]) == (1.0, 0)


def test_offsets_more_than_a_frame_off_are_counted_and_named(run: Run) -> None:
    run.offsets |= {"a": 5, "b": -4}
    metrics = run.metrics()
    assert metrics["offset_within_1_frame"] == pytest.approx(2 / 3)
    assert metrics["offset_error_frames_mean"] == pytest.approx((1 + 8 + 0) / 3)
    assert any("offset -4, true +4" in line for line in metrics["wrong"])


def test_a_clip_beside_every_true_face_is_a_stranger(run: Run) -> None:
    run.boxes["c"] = (100.0, 120.0, 180.0, 220.0)
    metrics = run.metrics()
    assert metrics["faces_precision"] == pytest.approx(3 / 4)
    assert metrics["faces_recall"] == pytest.approx(3 / 4)
    assert metrics["kept_precision"] == pytest.approx(2 / 3)


def test_a_broken_file_with_another_reason_than_expected_is_named(run: Run) -> None:
    run.zero = Part("failed", "bug")
    metrics = run.metrics()
    assert metrics["endings_right"] == pytest.approx(6 / 7)
    assert metrics["wrong"] == ["zero.mp4: ingest: failed bug, expected failed empty_file"]


def test_nothing_kept_is_no_success(run: Run) -> None:
    run.kept, run.offsets = [], {}
    metrics = run.metrics()
    assert metrics["kept_recall"] == 0.0
    assert metrics["kept_precision"] == 0.0
    assert metrics["offset_within_1_frame"] == 0.0


def test_without_a_run_the_message_names_what_to_do(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth.json", 0, TRUTH)
    with pytest.raises(ManifestError, match="dvc repro"):
        compare(tmp_path / "truth.json", tmp_path / "data")
    with pytest.raises(ManifestError, match="lipforge demo"):
        compare(tmp_path / "nothing.json", tmp_path / "data")


def test_the_table_shows_values_targets_and_errors(run: Run) -> None:
    run.kept = ["a", "b"]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render_table(run.metrics()))
    text = console.export_text()
    assert "kept_recall" in text
    assert ">= 0.9" in text
    assert "pair.mp4: clip c was rejected for low_confidence" in text
