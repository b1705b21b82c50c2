"""The simulation runs, and its tables are tables of a run."""

import pytest

from benchmarks.scale import step
from benchmarks.scale.step import STEPS, measured
from pipeline.engine.manifest import read_rows, read_table
from pipeline.tables.rows import Clip, Selected
from pipeline.tables.run_tables import table_path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    return tmp_path


def test_every_step_runs_and_counts_all_items(folder):
    found = {name: measured(name, 40) for name in STEPS}
    assert all(one["items"] == 40 for one in found.values())
    assert all(size > 0 for one in found.values() for size in one["bytes"].values())
    clips = read_rows(table_path(step.DATA, "faces"), Clip)
    measured_clips = read_table(table_path(folder / "out", "quality"))
    assert sorted(one.clip_id for one in clips) == [row["item_id"] for row in measured_clips]
    chosen = read_rows(table_path(step.DATA, "select"), Selected)
    assert 0 < len(chosen) < 40
