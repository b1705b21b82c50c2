from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.manifest import read_table, write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.errors import ManifestError
from pipeline.tables import run_tables
from pipeline.tables.rows import Clip, Quality, Scene, SyncScore, SyncStretch, Video
from pipeline.tables.run_tables import SERIES, ClipJoin, RunTables, measured_clips, table_path
from tests.pipeline.selection.test_rules import GOOD, candidate

ONE, TWO = candidate("a"), candidate("b", start_frame=100, end_frame=200)
QUALITY = replace(GOOD, clip_id="a")


def outcome(item_id: str, *rows: Any) -> Outcome:
    return Outcome(item_id, "kept", tuple(Part("kept", row=asdict(row)) for row in rows))


def refused(item_id: str) -> Outcome:
    return Outcome(item_id, "failed", (Part("failed", "decode_error", "cut off"),))


def write(data: Path, stage: str, row_type: type[Any], *outcomes: Outcome) -> None:
    write_table(table_path(data, stage), outcomes, row_type)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two clips of one video; `b` has no sync score and no quality."""
    write(tmp_path, "ingest", Video, outcome("u", ONE.video), refused("broken.mp4"))
    write(tmp_path, "faces", Clip, outcome("v", ONE.clip, TWO.clip))
    write(tmp_path, "sync", SyncScore, outcome("a", ONE.sync), refused("b"))
    write(tmp_path, "stretches", SyncStretch, outcome("v", *ONE.stretches))
    write(tmp_path, "quality", Quality, outcome("a", QUALITY))
    return tmp_path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Paths of the tables that are read from disk, in order."""
    found: list[Path] = []

    def counted(read: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(path: Path, columns: Any) -> Any:
            found.append(path)
            return read(path, columns)

        return wrapper

    monkeypatch.setattr(run_tables, "read_table", counted(read_table))
    return found


def test_records_are_read_once_however_often_they_are_used(data: Path, reads: list[Path]) -> None:
    tables = RunTables(data)
    tables.kept("faces"), tables.records("sync"), tables.records("faces"), tables.kept("sync")
    assert sorted(reads) == sorted(table_path(data, stage) for stage in ("faces", "sync"))


def test_rows_at_hand_are_not_read_again(data: Path) -> None:
    tables = RunTables(data)
    tables.records("ingest")
    table_path(data, "ingest").unlink()
    assert tables.rows("ingest", Video) == [ONE.video]
    assert len(list(tables.each("ingest", ("item_id",)))) == 2


def test_only_the_columns_asked_for_are_read(data: Path) -> None:
    tables = RunTables(data, columns={"ingest": ("item_id", "status")})
    assert tables.records("ingest")[0] == {"item_id": "broken.mp4", "status": "failed"}
    assert set(next(tables.each("sync", ("item_id", "no_such_column")))) == {"item_id"}


def test_whole_rows_of_a_few_items_are_found_beside_narrow_records(data: Path) -> None:
    tables = RunTables(data, columns={"sync": ("item_id",)})
    assert len(tables.records("sync")) == 2
    (found,) = tables.of_items("sync", {"a"})
    assert found["clip_id"] == "a"
    assert "curve" in found
    assert all("curve" in row for row in tables.each("sync"))
    assert len(tables.rows("sync", SyncScore)) == 1


def test_nothing_is_read_before_it_is_asked_for(data: Path, reads: list[Path]) -> None:
    tables = RunTables(data)
    assert tables.exists("sync")
    assert not tables.exists("scenes")
    assert reads == []


def test_a_table_written_after_the_first_question_is_found(data: Path) -> None:
    tables = RunTables(data)
    assert tables.records("scenes") == ()
    scene = Scene(video_id="v", scene=0, start_frame=0, end_frame=9)
    write(data, "scenes", Scene, outcome("v", scene))
    assert tables.rows("scenes", Scene) == [scene]


def test_records_hold_every_ending_and_kept_only_the_kept(data: Path) -> None:
    tables = RunTables(data)
    found = [(row["item_id"], row["status"], row["reason"]) for row in tables.records("ingest")]
    assert found == [("broken.mp4", "failed", "decode_error"), ("u", "kept", "")]
    assert [row["item_id"] for row in tables.kept("ingest")] == ["u"]
    assert tables.rows("ingest", Video) == [ONE.video]


def test_a_stage_that_has_not_run_has_no_records_and_its_rows_are_an_error(data: Path) -> None:
    tables = RunTables(data)
    assert (list(tables.records("scenes")), tables.kept("scenes")) == ([], [])
    with pytest.raises(ManifestError, match=r"scenes\.parquet: no such table"):
        tables.rows("scenes", Scene)


def test_a_table_of_other_columns_is_named_in_the_error(data: Path) -> None:
    with pytest.raises(ManifestError, match=r"videos\.parquet: columns"):
        RunTables(data).rows("ingest", Scene)


def test_records_at_hand_replace_a_table(data: Path, reads: list[Path]) -> None:
    tables = RunTables(data, {"sync": [{"item_id": "x", "status": "kept"}]})
    assert [row["item_id"] for row in tables.kept("sync")] == ["x"]
    assert reads == []


def test_every_clip_is_joined_with_its_video_and_what_was_measured_of_it(data: Path) -> None:
    one, two = measured_clips(RunTables(data))
    light = replace(QUALITY, **{name: [] for name in SERIES})
    assert (one.video, one.clip, one.sync, one.quality) == (ONE.video, ONE.clip, ONE.sync, light)
    assert (two.video, two.clip, two.sync, two.quality) == (TWO.video, TWO.clip, None, None)


def test_clips_are_not_joined_without_a_table_of_sync(data: Path) -> None:
    table_path(data, "sync").unlink()
    with pytest.raises(ManifestError, match=r"sync\.parquet"):
        measured_clips(RunTables(data))


def test_clips_come_in_the_order_of_their_ids_each_with_all_that_was_measured(tmp_path) -> None:
    names = ["d", "b", "a", "c"]
    made = [candidate(name, start_frame=n * 100) for n, name in enumerate(names)]
    write(tmp_path, "ingest", Video, outcome("u", made[0].video))
    write(tmp_path, "faces", Clip, outcome("v", *(one.clip for one in made)))
    write(tmp_path, "sync", SyncScore, *(outcome(one.clip.clip_id, one.sync) for one in made))
    write(tmp_path, "stretches", SyncStretch, outcome("v", *(one.stretches[0] for one in made)))
    rows = [replace(GOOD, clip_id=name) for name in ("a", "aa", "d")]
    write(tmp_path, "quality", Quality, *(outcome(row.clip_id, row) for row in rows))
    found = list(ClipJoin(RunTables(tmp_path)).in_order())
    assert [one.clip.clip_id for one in found] == ["a", "b", "c", "d"]
    assert [one.quality for one in found] == [rows[0], None, None, rows[2]]
    assert [one.sync.clip_id for one in found if one.sync] == ["a", "b", "c", "d"]
    assert all(one.stretches[0].clip_id == one.clip.clip_id for one in found)
