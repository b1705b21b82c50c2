"""The made-up workspace: the real stages find every item of it finished."""

import importlib
import json

import pytest
import yaml

from benchmarks.bench.unchanged import items_computed, tables
from benchmarks.synthetic_workspace import STAGES, fill
from pipeline.engine.manifest import read_table
from pipeline.tables.run_tables import table_path
from tests.conftest import ROOT


@pytest.fixture
def filled(workspace, monkeypatch):
    """Two films with ten clips each."""
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    films = workspace / "films"
    films.mkdir()
    for number in range(2):
        (films / f"{number}.mp4").write_text(f"film {number}")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["ingest"]["source"] = str(films)
    (workspace / "params.yaml").write_text(yaml.safe_dump(params))
    fill()
    return workspace


def test_the_real_stages_compute_nothing_and_write_the_same_tables(filled):
    before, computed = tables(filled), items_computed(filled)
    for name in STAGES:
        importlib.import_module(f"stages.{name}").main()
    assert items_computed(filled) == computed == 2 * 4 + 20 * 2 + selected(filled)
    assert tables(filled) == before


def test_a_higher_threshold_selects_fewer_clips_and_computes_nothing(filled):
    before, computed = selected(filled), items_computed(filled)
    params = yaml.safe_load((filled / "params.yaml").read_text())
    params["select"]["min_probability"] = 0.9
    (filled / "params.yaml").write_text(yaml.safe_dump(params))
    for name in ("select", "shards", "report"):
        importlib.import_module(f"stages.{name}").main()
    assert 0 < selected(filled) < before <= 20
    assert items_computed(filled) == computed
    index = json.loads((filled / "data/shards/index.json").read_text())
    assert sum(one["samples"] for one in index["shards"]) == selected(filled)


def selected(folder):
    rows = read_table(table_path(folder / "data", "select"))
    return sum(row["status"] == "kept" for row in rows)
