import json

import pytest

from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.shards.datacard import cell, datacard
from pipeline.tables.rows import Video
from pipeline.tables.run_tables import RunTables, table_path
from tests.pipeline.selection.test_rules import candidate


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a|b", "new\nline", "`code`", "[x](javascript:y)"]
)
def test_a_hostile_name_is_text_in_a_table_cell(name):
    shown = cell(name)
    assert not any(mark in shown for mark in "<|\n`")
    assert "](" not in shown.replace("\\](", "")


def test_the_card_counts_the_inputs_and_names_the_licences(tmp_path):
    from dataclasses import asdict

    row = asdict(candidate().video) | {"licence": "CC0-1.0"}
    outcomes = [
        Outcome("a.mp4", "kept", (Part("kept", row=row),)),
        Outcome("b.mp4", "failed", (Part("failed", "empty_file", "no bytes"),)),
    ]
    write_table(table_path(tmp_path, "ingest"), outcomes, Video)
    index = {"splits": {"train": {"shards": 1, "samples": 2, "seconds": 9.0, "bytes": 7}}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    card = datacard(RunTables(tmp_path), tmp_path / "index.json")
    assert "What became of 2 inputs" in card
    assert "| ingest | 2 | 1 | 0 | 1 | 0 | 1 | empty\\_file 1; " in card
    assert "| CC0-1.0 | 1 |" in card
    assert "| train | 1 | 2 | 9.0 | 7 |" in card
