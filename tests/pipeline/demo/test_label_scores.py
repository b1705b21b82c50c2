"""The scores of labels: what is right costs nothing, what is wrong costs what it should."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.demo.compare import compare
from pipeline.demo.label_scores import cover_auc
from pipeline.demo.truth import FileTruth, write_truth
from pipeline.engine.cache import LocalCache
from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.tables.rows import FPS, Quality
from pipeline.tables.run_tables import table_path
from tests.pipeline.demo.run_by_hand import TRUTH, Run
from tests.pipeline.selection.test_rules import GOOD

HIDDEN = tuple((f, 1.0 if f >= 50 else 0.4 if f >= 48 else 0.0) for f in range(30, 100))
"""In the first shot of cut.mp4: beside the mouth from frame 30, over it from 50."""
COVERED = [0.0] * 50 + [1.0] * 50


def truth(**changes: Any) -> list[FileTruth]:
    first, *others = TRUTH
    shot = replace(first.faces[0], hidden=HIDDEN)
    return [replace(first, faces=(shot, *first.faces[1:]), **changes), *others]


def metrics(tmp_path: Path, files: list[FileTruth], **measured: Any) -> dict[str, Any]:
    """Compare a perfect run whose clip of the first shot, `a`, was measured like this."""
    Run(tmp_path).metrics()
    write_truth(tmp_path / "truth.json", 0, files)
    plain = replace(GOOD, clip_id="a", cover_by_frame=COVERED, change_by_frame=[3.0] * 100)
    row = asdict(replace(plain, **measured))
    outcome = Outcome("a", "kept", (Part("kept", row=row),), "key")
    write_table(table_path(tmp_path / "data", "quality"), [outcome], Quality)
    found: dict[str, Any] = compare(
        tmp_path / "truth.json", tmp_path / "data", LocalCache(tmp_path / "cache")
    )
    return found


def test_a_score_that_is_right_on_every_frame_finds_all_and_alarms_never(tmp_path: Path) -> None:
    found = metrics(tmp_path, truth())
    assert (found["cover_auc"], found["cover_found"]) == (1.0, 1.0)
    assert found["cover_false_alarms"] == found["cover_beside_false_alarms"] == 0.0
    assert (found["cover_frames"], found["cover_beside_frames"]) == (50, 18)


def test_alarms_beside_the_mouth_are_counted_apart_and_half_hidden_frames_not_at_all(
    tmp_path: Path,
) -> None:
    scores = [0.0] * 30 + [0.9] * 9 + [0.0] * 9 + [0.9] * 2 + [0.9] * 25 + [0.1] * 25
    found = metrics(tmp_path, truth(), cover_by_frame=scores)
    assert found["cover_found"] == 0.5
    assert found["cover_beside_false_alarms"] == 0.5
    assert found["cover_false_alarms"] == pytest.approx(9 / 48)
    assert found["cover_auc"] == pytest.approx(
        cover_auc([0.9] * 25 + [0.1] * 25, [0.0] * 39 + [0.9] * 9)
    )


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert cover_auc([1.0, 0.5], [0.5, 0.0]) == 7 / 8
    assert cover_auc([0.0], [1.0]) == 0.0
    assert cover_auc([], [1.0]) == cover_auc([1.0], []) == 1.0


@pytest.mark.parametrize(
    ("marked", "found", "by_label", "alarms"),
    [([40], 1, 1, 0), ([41], 1, 1, 0), ([42], 0, 0, 1), ([], 0, 0, 0), ([40, 70, 97], 1, 1, 1)],
)
def test_a_jump_is_found_within_a_frame_and_what_is_no_jump_is_an_alarm(
    tmp_path: Path, marked: list[int], found: int, by_label: int, alarms: int
) -> None:
    jumped = truth(jumps=((40, 12),), transitions=((40, 40),))
    measured = metrics(tmp_path, jumped, jump_cuts=marked)
    assert (measured["jumps_found"], measured["jumps_true"]) == (found, 1)
    assert measured["jumps_found_by_label"] == by_label
    assert measured["jump_false_alarms_per_minute"] == pytest.approx(alarms / (100 / FPS / 60))
    missed = "cut.mp4: jump cut at frame 40 not found, 12 frames are missing"
    assert (missed in measured["wrong"]) == (found == 0)


def test_a_jump_at_which_a_shot_begins_is_found_without_a_label(tmp_path: Path) -> None:
    measured = metrics(tmp_path, truth(jumps=((100, 12),), transitions=((100, 100),)))
    assert (measured["jumps_found"], measured["jumps_found_by_label"]) == (1, 0)
