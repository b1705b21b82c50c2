"""The table of targets: verdicts, the files that are written, and what is said when nothing ran."""

import json

import pytest

from benchmarks.bench.__main__ import KINDS, NAMES, main
from benchmarks.bench.rows import AT_LEAST, Row, Target
from benchmarks.bench.table import markdown, write_reports
from tests.conftest import ROOT

LOW, HIGH = Target(4.0), Target(1.8, AT_LEAST)


def row(target=LOW, **values):
    return Row("line", "line / bare decode", "x", target, **values)


@pytest.mark.parametrize(
    ("target", "value", "held", "verdict"),
    [
        (LOW, 4.0, True, "reached"),
        (LOW, 4.01, True, "missed"),
        (HIGH, 1.8, True, "reached"),
        (HIGH, 1.79, True, "missed"),
        (LOW, 1.0, None, "reached"),
        (LOW, 1.0, False, "CHECK FAILED"),
        (LOW, None, None, "not run"),
        (LOW, None, False, "CHECK FAILED"),
    ],
)
def test_a_value_is_judged_by_its_target_and_only_if_its_check_held(target, value, held, verdict):
    assert row(target, value=value, held=held).verdict(quick=False) == verdict


def test_small_inputs_judge_no_target_but_a_broken_check_is_still_said():
    assert row(value=1.0, held=True).verdict(quick=True) == "not judged"
    assert row(value=1.0, held=False).verdict(quick=True) == "CHECK FAILED"


def test_target_measurement_and_check_stand_side_by_side():
    one = row(value=15.123, runs=3, check="bytes equal", held=True, note="169 s of video")
    line = markdown([one], {"processor": "Z80"}, quick=False).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "line / bare decode",
        "15.1 x",
        "<= 4 x",
        "missed",
        "3",
        "bytes equal: yes",
        "169 s of video",
    ]


def test_both_files_hold_the_machine_and_every_row(tmp_path):
    facts = {"processor": "Z80"}
    rows = [row(value=2.0, held=True, details={"runs": [1.9, 2.0, 2.1]}), row(note="not run: x")]
    write_reports(tmp_path / "new", rows, facts, {"quick": False})
    found = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert found["machine"] == facts
    assert [one["verdict"] for one in found["rows"]] == ["reached", "not run"]
    assert found["rows"][0]["details"] == {"runs": [1.9, 2.0, 2.1]}
    assert (tmp_path / "new" / "bench.md").read_text() == markdown(rows, facts, quick=False)


def test_without_clips_the_rows_say_so_and_the_command_ends_well(tmp_path, capsys):
    needs_clips = ["line", "line_all", "film", "overhead", "memory"]
    given = ["--clips", str(tmp_path / "none"), "--reports", str(tmp_path)]
    assert main(["--only", *needs_clips, *given]) == 0
    found = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert {one["name"] for one in found} == set(needs_clips)
    assert {one["note"] for one in found} == {f"not run: no clips in {tmp_path}/none"}
    assert capsys.readouterr().out.count("not run: no clips") == len(found)


def test_every_kind_of_measurement_is_explained():
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    assert [name for name in NAMES if f"| `{name}` |" not in page] == []


def test_the_rows_of_a_kind_carry_its_name():
    assert all(one.name == kind.name for kind, _ in KINDS for one in kind.rows)
