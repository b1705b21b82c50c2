"""What `lipforge judge` prints, writes and draws, for names that mean harm too."""

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from pipeline.engine.outcome import Outcome, Part
from pipeline.errors import ParamsError
from pipeline.judge.command import output
from pipeline.judge.command.output import (
    as_json,
    as_table,
    plot_name,
    require_matplotlib,
    summary_lines,
    write_plots,
)
from pipeline.judge.command.stage import FaceScore

HOSTILE = (
    "a/$\\frac{$ [bold]red[/bold].mp4",
    "b/line\nbreak \u202e\x1b[31m\udcff.mp4",
    "../../../etc/passwd",
    "c/\u4f60\u597d<script>&.mp4",
    "d/.mp4",
    f"e/{'long' * 60}.mp4",
)


def face(number: int = 0, judge: str = "landmark", **changes: Any) -> dict[str, Any]:
    curve = [1.2 + 0.01 * abs(o - 3) for o in range(-15, 16)]
    score = FaceScore(
        face=number, scene=0, start_frame=50, end_frame=200, face_px=120.0, judge=judge,
        mode="masked", fallback="", offset_frames=3, offset_subframe=3.4, confidence=0.08,
        min_distance=1.2, probability=None, drift_frames=None, curve=curve,
    )  # fmt: skip
    return {**asdict(score), **changes}


def judged(name: str, *rows: dict[str, Any]) -> Outcome:
    return Outcome(name, "kept", tuple(Part("kept", row=row) for row in rows), "key")


def ended(name: str, status: Any, reason: str, detail: str = "") -> Outcome:
    return Outcome(name, status, (Part(status, reason, detail),), "key")


def shown(outcomes: list[Outcome], width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(as_table(outcomes))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_face_is_one_line_below_its_file_with_its_seconds_and_offset() -> None:
    rows = face(4, probability=0.93, drift_frames=-1.5), face(11)
    heading, *lines = shown([judged("x.mp4", *rows), judged("y z.mp4", face())]).splitlines()
    assert heading.split() == [
        *("face", "seconds", "offset", "sub-frame", "confidence", "distance", "prob.", "drift"),
    ]
    assert [line.split() for line in lines] == [
        ["x.mp4"],
        ["4", "2.00-8.00", "+3", "+3.40", "0.080", "1.200", "0.93", "-1.5"],
        ["11", "2.00-8.00", "+3", "+3.40", "0.080", "1.200", "-", "-"],
        ["y", "z.mp4"],
        ["0", "2.00-8.00", "+3", "+3.40", "0.080", "1.200", "-", "-"],
        ["judge:", "landmark,", "masked"],
    ]


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("judge", ["landmark", "syncnet"])
def test_nothing_of_a_name_or_a_number_is_lost_on_a_narrow_terminal(width: int, judge: str) -> None:
    name = f"a folder/{'long' * 30}.mp4"
    late = face(
        *(123, judge), start_frame=899_000, end_frame=902_000, confidence=11.25, probability=0.5,
        min_distance=12.125, offset_frames=-15, offset_subframe=-14.5, drift_frames=-10.5,
    )  # fmt: skip
    heading, *lines = shown([judged(name, late), judged("b.mp4", face(judge=judge))], width)[
        :-1
    ].split("\n")
    assert max(map(len, [heading, *lines])) <= width
    assert name.replace(" ", "") in "".join(lines).replace(" ", "")
    (row,) = [line for line in lines if line.split()[0] == "123"]
    assert row.split()[1:] == [
        *("35960.00-36080.00", "-15", "-14.50", "11.250", "12.125", "0.50", "-10.5"),
    ]
    assert len(row) == len(heading)
    assert lines.count(f"judge: {judge}, masked") == 1


def test_without_a_face_there_is_no_table() -> None:
    assert shown([ended("b.mp4", "failed", "empty_file")]) == ""


def test_only_syncnet_s_numbers_bear_the_names_of_the_papers() -> None:
    ours, theirs = [judged("x.mp4", face())], [judged("x.mp4", face(judge="syncnet"))]
    assert "LSE" not in shown(ours) + "".join(summary_lines(ours))
    assert "LSE-C" in shown(theirs)
    assert "mean over faces: LSE-C 0.080, LSE-D 1.200" in summary_lines(theirs)


def test_a_fallback_is_told() -> None:
    lines = summary_lines([judged("x.mp4", face(fallback="no weights"), face(1))])
    assert "scored by the landmark judge instead of SyncNet: no weights" in lines


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_and_does_nothing(name: str, tmp_path: Path) -> None:
    outcomes = [judged(name, face()), ended(name + "2", "failed", "not_media", name)]
    text = shown(outcomes) + "\n".join(summary_lines(outcomes))
    assert "\x1b" not in text
    assert "\u202e" not in text
    if "bold" in name:
        assert "[bold]" in text
    text.encode()
    pytest.importorskip("matplotlib")
    assert write_plots(outcomes, tmp_path / "plots") == 1
    (drawn,) = (tmp_path / "plots").iterdir()
    assert drawn.name == plot_name(name, face())
    assert drawn.name.isascii()
    assert len(drawn.name) < 100
    ElementTree.parse(drawn)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plots"]


def test_equal_names_in_two_folders_and_two_faces_are_different_drawings() -> None:
    names = {
        plot_name(*one) for one in [("a/x.mp4", face()), ("b/x.mp4", face()), ("a/x.mp4", face(1))]
    } | {plot_name("a/x.mp4", face(start_frame=7500))}
    assert len(names) == 4


def test_the_same_scores_give_the_same_drawing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for folder in ("one", "two"):
        write_plots([judged("x.mp4", face())], tmp_path / folder)
    one, two = (next((tmp_path / name).iterdir()).read_bytes() for name in ("one", "two"))
    assert one == two
    assert b"date" not in one.lower()


def test_every_file_and_every_ending_is_counted() -> None:
    short = Part("rejected", "track_too_short", "face 1, 0.00-1.00 s")
    outcomes = [
        Outcome("a.mp4", "kept", (Part("kept", row=face()), short), "key"),
        ended("b.mp4", "rejected", "no_face"),
        ended("c.mp4", "failed", "decode_error", "after 3.00 s"),
        ended("d.mp4", "quarantined", "deadline", "no answer"),
    ]
    lines = summary_lines(outcomes)
    assert lines[0] == "4 files: 1 kept, 1 rejected, 1 failed, 1 quarantined; 1 faces judged"
    assert "  rejected: no_face 1" in lines
    assert "  rejected: track_too_short 1" in lines
    assert lines[-2:] == ["  c.mp4: decode_error: after 3.00 s", "  d.mp4: deadline: no answer"]


def test_json_holds_all_that_the_table_has_and_the_curve() -> None:
    content = as_json([judged(HOSTILE[1], face()), ended("b.mp4", "failed", "empty_file", "no")])
    again = json.loads(json.dumps(content))
    first, second = again["files"]
    (one,) = first["faces"]
    assert (one["start_s"], one["end_s"], one["offset_frames"]) == (2.0, 8.0, 3)
    assert len(one["curve"]) == 31
    assert {
        "face",
        "confidence",
        "min_distance",
        "probability",
        "judge",
        "mode",
        "fallback",
    } <= set(one)
    assert second["not_judged"] == [{"status": "failed", "reason": "empty_file", "detail": "no"}]
    assert again["counts"] == {"kept": 1, "rejected": 0, "failed": 1, "quarantined": 0}


def test_a_table_too_long_to_read_says_how_much_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "MOST_LINES", 2)
    text = shown([judged("x.mp4", *(face(number) for number in range(5)))])
    assert "3 more faces: see --json" in text


def test_drawings_without_matplotlib_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ParamsError, match="lipforge\\[demo\\]"):
        require_matplotlib()
