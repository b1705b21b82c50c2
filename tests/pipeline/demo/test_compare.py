"""The comparison itself: a perfect run scores 1, every kind of error costs what it should."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.demo.compare import _paired, compare
from pipeline.demo.targets import render_table
from pipeline.demo.truth import write_truth
from pipeline.engine.outcome import Part
from pipeline.errors import ManifestError
from tests.pipeline.demo.run_by_hand import TRUTH, Run


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
