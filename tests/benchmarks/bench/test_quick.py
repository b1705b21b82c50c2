"""Kinds of measurement from end to end on small inputs, as CI runs them."""

import json

import pytest

from benchmarks.bench.__main__ import main


@pytest.mark.slow
def test_quick_measures_and_checks_without_judging_a_target(tmp_path):
    folders = ["--work", str(tmp_path / "work"), "--reports", str(tmp_path)]
    assert main(["--quick", "--only", "line", "overhead", "empty", *folders]) == 0
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["line", "overhead", "empty", "empty"]
    assert {row["verdict"] for row in rows} == {"not judged"}
    assert all(row["value"] > 0 for row in rows)
    assert [row["held"] for row in rows] == [None, True, True, True]
