import random

import pytest

from pipeline.engine.manifest import read_rows, read_table, write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.errors import ManifestError
from tests.doubles import Half


def outcomes() -> list[Outcome]:
    kept = Part("kept", row={"number": 4, "half": 2, "artifact": "k"})
    return [
        Outcome("b", "kept", (kept, Part("rejected", "short", "", kept.row)), "k1"),
        Outcome("a", "rejected", (Part("rejected", "odd"),), "k2"),
        Outcome("ü\n'", "failed", (Part("failed", "decode_error", "broken"),), "k3"),
    ]


def test_same_outcomes_in_any_order_give_the_same_bytes(tmp_path):
    one, two = tmp_path / "1.parquet", tmp_path / "2.parquet"
    write_table(one, outcomes(), Half)
    shuffled = outcomes()
    random.Random(3).shuffle(shuffled)
    write_table(two, shuffled, Half)
    assert one.read_bytes() == two.read_bytes()


def test_every_item_has_a_row_whatever_its_ending(tmp_path):
    write_table(tmp_path / "t.parquet", outcomes(), Half)
    rows = read_table(tmp_path / "t.parquet")
    assert [(r["item_id"], r["part"], r["status"]) for r in rows] == [
        ("a", 0, "rejected"),
        ("b", 0, "kept"),
        ("b", 1, "rejected"),
        ("ü\n'", 0, "failed"),
    ]
    assert rows[0]["half"] is None


def test_only_kept_rows_are_read_as_objects(tmp_path):
    write_table(tmp_path / "t.parquet", outcomes(), Half)
    assert read_rows(tmp_path / "t.parquet", Half) == [Half(number=4, half=2, artifact="k")]


def test_one_name_for_two_items_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="'a'"):
        write_table(tmp_path / "t.parquet", outcomes() + outcomes()[1:2], Half)
    assert not (tmp_path / "t.parquet").exists()


def test_a_missing_table_names_the_fix(tmp_path):
    with pytest.raises(ManifestError, match="dvc repro"):
        read_table(tmp_path / "none.parquet")


def test_an_empty_table_has_its_schema(tmp_path):
    write_table(tmp_path / "t.parquet", [], Half)
    assert read_rows(tmp_path / "t.parquet", Half) == []
