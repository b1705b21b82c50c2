"""Seconds kept that should not be and lost that should be kept, from tables written by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.demo import targets
from pipeline.demo.targets import missed
from pipeline.demo.truth import FileTruth, TrueStretch
from tests.pipeline.demo.run_by_hand import KEPT, LEFT, RIGHT, TRUTH, Run, clip, face

FOREIGN = (TrueStretch(start_s=4.0, end_s=8.0, kind="foreign_sound"),)


def film(uri: str, *faces: Any, kind: str = "foreign_sound", **more: Any) -> FileTruth:
    endings = dict.fromkeys(("ingest", "scenes", "faces"), KEPT)
    return FileTruth(
        uri=uri, kind=kind, faults=(), endings=endings, num_frames=200, faces=faces, **more
    )


def good(start_s: float, end_s: float, offset: int = 0) -> TrueStretch:
    return TrueStretch(start_s=start_s, end_s=end_s, offset_frames=offset)


HALF_GOOD = film("half.mp4", face(0, 0, 200, good=(good(0.0, 4.0),), bad=FOREIGN))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """One film of 8 s whose second half is bad, and one clip with all of it, kept."""
    run = Run(tmp_path)
    run.truth = [HALF_GOOD, TRUTH[-1]]
    run.cuts = []
    run.clips = [clip("a", "half", 0, 200)]
    run.offsets, run.kept, run.reasons = {"a": 0}, ["a"], {}
    return run


def seconds(run: Run) -> tuple[Any, ...]:
    """Good, lost and wrongly kept seconds."""
    metrics = run.metrics()
    names = ("good_seconds", "lost_seconds", "wrongly_kept_seconds")
    return tuple(metrics[name] for name in names)


def test_a_perfect_run_loses_nothing_and_keeps_nothing_wrongly(tmp_path: Path) -> None:
    metrics = Run(tmp_path).metrics()
    assert metrics["good_seconds"] == pytest.approx(3 * 3.6)
    assert (metrics["lost_seconds"], metrics["wrongly_kept_seconds"]) == (0.0, 0.0)
    assert metrics["seconds_by_kind"]["two_people"] == {
        "files": 1, "good_s": 3.6, "lost_s": 0.0, "bad_s": 3.6, "wrongly_kept_s": 0.0,
    }  # fmt: skip


def test_bad_seconds_in_a_kept_clip_count_but_for_those_next_to_a_boundary(run: Run) -> None:
    metrics = run.metrics()
    assert metrics["wrongly_kept_seconds"] == pytest.approx(4.0 - 2 * 0.2)
    assert metrics["lost_seconds"] == 0.0
    said = [line for line in metrics["wrong"] if " s of " in line]
    assert said == ["half.mp4: 3.60 s of foreign_sound kept, clip a"]


@pytest.mark.parametrize(("end", "wrong_s"), [(100, 0.0), (105, 0.0), (106, 0.04), (120, 0.6)])
def test_the_edge_is_five_frames(run: Run, end: int, wrong_s: float) -> None:
    run.clips = [clip("a", "half", 0, end)]
    assert seconds(run) == (pytest.approx(3.6), 0.0, pytest.approx(wrong_s))


def test_of_a_stretch_under_a_second_the_middle_half_counts(run: Run) -> None:
    short = (TrueStretch(start_s=4.0, end_s=4.48, kind="other_person"),)
    run.truth[0] = film("half.mp4", face(0, 0, 200, good=(good(0.0, 4.0),), bad=short))
    assert seconds(run)[2] == pytest.approx(6 / 25)


@pytest.mark.parametrize(("start", "lost_s"), [(0, 0.0), (5, 0.0), (10, 0.2), (100, 3.6)])
def test_good_seconds_in_no_kept_clip_are_lost(run: Run, start: int, lost_s: float) -> None:
    run.clips = [clip("a", "half", start, 101)]
    assert seconds(run) == (pytest.approx(3.6), pytest.approx(lost_s), 0.0)


def test_a_film_without_any_clip_loses_all_it_has(run: Run) -> None:
    run.kept = []
    metrics = run.metrics()
    assert (metrics["lost_seconds"], metrics["lost_seconds_share"]) == (pytest.approx(3.6), 1.0)
    assert "half.mp4: 3.60 s of 3.60 s lost" in metrics["wrong"]


def test_good_stretches_shorter_than_a_clip_may_be_lost(run: Run) -> None:
    run.truth[0] = film("half.mp4", face(0, 0, 200, good=(good(0.0, 2.96),), bad=FOREIGN))
    run.kept = []
    assert seconds(run) == (0.0, 0.0, 0.0)


def test_frames_in_no_stretch_may_be_kept_or_lost(run: Run) -> None:
    run.truth[0] = film("half.mp4", face(0, 0, 200, good=(good(0.0, 4.0),)))
    assert seconds(run)[1:] == (0.0, 0.0)


def test_samples_that_name_their_frames_are_parts_of_a_clip(run: Run) -> None:
    run.spans = {"a": ("half", 0, 60), "a-2": ("half", 110, 130)}
    good_s, lost_s, wrong_s = seconds(run)
    assert (good_s, lost_s) == (pytest.approx(3.6), pytest.approx(35 / 25))
    assert wrong_s == pytest.approx(20 / 25)


def test_the_correction_of_the_offset_cuts_off_an_end(run: Run) -> None:
    """Audio early: the picture loses its first frames; late: its last ones."""
    run.truth[0] = film("half.mp4", face(0, 0, 200, good=(good(0.2, 4.2, 5), good(4.2, 8.0, -5))))
    run.offsets, run.clips = {"a": 5, "b": -5}, [clip("a", "half", 0, 105)]
    assert seconds(run)[1:] == (pytest.approx(3.4), 0.0)
    run.clips = [clip("a", "half", 6, 105)]
    assert seconds(run)[1:] == (pytest.approx(3.4 + 1 / 25), 0.0)
    run.clips, run.kept = [clip("b", "half", 105, 191)], ["b"]
    assert seconds(run)[1:] == (pytest.approx(3.6 + 9 / 25), 0.0)


def test_a_good_stretch_at_another_offset_than_was_corrected_is_kept_wrongly(run: Run) -> None:
    run.applied = {"a": 2}
    metrics = run.metrics()
    assert metrics["lost_seconds"] == pytest.approx(3.6)
    assert "half.mp4: 3.60 s of other_offset kept, clip a" in metrics["wrong"]
    run.applied = {"a": 1}
    assert seconds(run)[1] == 0.0


def test_of_a_clip_with_two_people_the_second_is_kept_wrongly(run: Run) -> None:
    run.truth[0] = film("half.mp4", face(0, 0, 120), face(1, 120, 200))
    metrics = run.metrics()
    assert metrics["lost_seconds"] == pytest.approx(2.8)
    assert "half.mp4: 2.80 s of other_face kept, clip a" in metrics["wrong"]


def test_of_two_people_at_once_the_boxes_say_who_was_kept(run: Run) -> None:
    listener = face(0, 0, 200, boxes=(RIGHT,) * 40, should_be_kept=False)
    run.truth[0] = film("half.mp4", face(0, 0, 200), listener)
    assert seconds(run)[1:] == (0.0, 0.0)
    run.boxes["a"] = RIGHT
    assert seconds(run)[1:] == (pytest.approx(7.6), pytest.approx(7.6))


def test_what_shows_no_true_face_is_kept_wrongly_to_the_last_frame(run: Run) -> None:
    run.boxes["a"] = (LEFT[2], LEFT[3], LEFT[2] + 80.0, LEFT[3] + 100.0)
    assert seconds(run)[2] == pytest.approx(8.0)


def test_a_file_that_its_truth_allows_to_fail_loses_nothing(run: Run) -> None:
    run.truth[0] = replace(HALF_GOOD, may_fail=("decode_error",))
    run.clips, run.offsets, run.kept = [], {}, []
    run.failed = {"half.mp4": "decode_error"}
    assert seconds(run)[:2] == (0.0, 0.0)
    run.failed = {"half.mp4": "not_media"}
    assert seconds(run)[:2] == (pytest.approx(3.6), pytest.approx(3.6))


def test_a_cut_found_inside_of_a_transition_is_neither_right_nor_wrong(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "FAULTS_IN_PART_COUNT", True)
    run.truth[0] = replace(HALF_GOOD, uri="cut.mp4", transitions=((90, 110),))
    run.cuts = [100]
    assert run.metrics()["cuts_precision"] == 1.0
    run.cuts = [120]
    assert run.metrics()["cuts_precision"] == 0.0


def test_seconds_are_enforced_once_films_that_are_good_in_part_count(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "FAULTS_IN_PART_COUNT", False)
    run.truth.append(TRUTH[0])
    run.clips = [
        clip("a", "half", 0, 180), clip("x", "cut", 0, 100), clip("y", "cut", 100, 200, 1)
    ]  # fmt: skip
    run.boxes |= {"x": LEFT, "y": LEFT}
    run.offsets |= {"x": 4, "y": 4}
    run.cuts, run.kept = [100], ["a", "x", "y"]
    metrics = run.metrics()
    assert missed(metrics) == []
    assert metrics["kept_true"] == 2
    monkeypatch.setattr(targets, "FAULTS_IN_PART_COUNT", True)
    metrics = run.metrics()
    assert missed(metrics) == ["wrongly_kept_seconds"]
    assert metrics["kept_true"] == 3
