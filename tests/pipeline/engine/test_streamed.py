"""What `execute_streamed` writes is what `execute` writes."""

from pathlib import Path

import pytest

from pipeline.engine.command import execute
from pipeline.engine.roots import needed, running
from pipeline.engine.side_store import side_store
from pipeline.engine.streamed import execute_streamed
from pipeline.errors import TooManyFailuresError
from pipeline.params.curation import Params
from tests.doubles import Half, Halve

WRITE = {"execute": execute, "execute_streamed": execute_streamed}


@pytest.fixture
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    return tmp_path


def test_both_ways_write_the_same_table_from_new_and_from_cached_items(serial):
    params = Params.model_validate({"run": {"max_failed_fraction": 1.0}})
    written = set()
    for name in ("execute_streamed", "execute", "execute_streamed"):
        table = serial / f"{name}.parquet"
        WRITE[name](Halve(), [4, 2, 13, 1], table, Half, params)
        written.add(table.read_bytes())
        assert len(needed(side_store())) == 4
        assert not running(side_store())
    assert len(written) == 1


def test_too_many_failures_leave_the_table_of_what_happened_only(serial):
    table = serial / "t.parquet"
    execute_streamed(Halve(), [2, 4], table, Half, Params())
    with pytest.raises(TooManyFailuresError, match="13"):
        execute_streamed(Halve(), [13], table, Half, Params())
    assert not table.exists()
    assert table.with_suffix(".failed.parquet").exists()
    execute_streamed(Halve(), [2], table, Half, Params())
    assert table.exists()
    assert not table.with_suffix(".failed.parquet").exists()
