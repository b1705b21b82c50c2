import random
from pathlib import Path

import pytest

from pipeline.engine import sorted_table
from pipeline.engine.manifest import OutcomeTable, read_rows, read_table, write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.errors import ManifestError
from tests.doubles import Half


def outcome(number: int, parts: int = 1) -> Outcome:
    row = {"number": number, "half": number // 2, "artifact": f"k{number}"}
    kept = tuple(Part("kept", row={**row, "half": part}) for part in range(parts))
    return Outcome(f"{number:05d}", "kept", kept, f"k{number}")


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty rows make a batch, some hundred a run, 64 a row group."""
    monkeypatch.setattr(sorted_table, "BATCH_ROWS", 50)
    monkeypatch.setattr(sorted_table, "RUN_BYTES", 10_000)
    monkeypatch.setattr(sorted_table, "GROUP_ROWS", 64)


@pytest.mark.usefixtures("small_runs")
def test_the_file_is_the_same_from_one_run_and_from_many_in_any_order(tmp_path, monkeypatch):
    found = [outcome(number, 1 + number % 3) for number in range(700)]
    many, one = tmp_path / "many.parquet", tmp_path / "one.parquet"
    shuffled = random.Random(1).sample(found, len(found))
    table = OutcomeTable(many, Half)
    for ended in shuffled:
        table.add(ended)
    assert len(table.rows.runs) > 5
    table.write(many)
    monkeypatch.setattr(sorted_table, "RUN_BYTES", 2**30)
    write_table(one, found, Half)
    assert many.read_bytes() == one.read_bytes()
    rows = read_table(many)
    assert [(row["item_id"], row["part"]) for row in rows] == [
        (one.item_id, part) for one in found for part in range(len(one.parts))
    ]
    assert len(read_rows(many, Half)) == sum(len(one.parts) for one in found)


@pytest.mark.usefixtures("small_runs")
def test_runs_leave_no_file(tmp_path: Path):
    table = OutcomeTable(tmp_path / "t.parquet", Half)
    for number in range(500):
        table.add(outcome(number))
    assert table.rows.runs
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("twice", [0, 63, 64, 450])
def test_one_name_for_two_items_in_different_runs_is_refused(tmp_path: Path, twice: int):
    found = [*(outcome(number) for number in range(500)), outcome(twice)]
    with pytest.raises(ManifestError, match=f"'{twice:05d}'"):
        write_table(tmp_path / "t.parquet", found, Half)
    assert not (tmp_path / "t.parquet").exists()
