"""Every input ends as a Video, a rejection with a reason, or a failure with an error."""

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.atomic import write_json
from pipeline.digest import file_sha256
from pipeline.engine.again import AGAIN
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import run_stage
from pipeline.engine.manifest import read_table, write_table
from pipeline.engine.outcome import Outcome
from pipeline.engine.runner import SerialRunner
from pipeline.errors import SourceError
from pipeline.params.curation import load_params
from pipeline.sources import list_sources
from pipeline.tables.rows import Video
from pipeline.taken_down import note_taken_down
from stages.ingest import TABLE, Ingest, ask_for_absent_tars, finish, main
from tests.conftest import ROOT
from tests.media import Sound, beep_flash, write_video


def ingest(folder: Path, cache: Path) -> dict[str, Outcome]:
    sources = list_sources(str(folder))
    outcomes = finish(run_stage(Ingest(), sources, SerialRunner(), LocalCache(cache)))
    return {outcome.item_id: outcome for outcome in outcomes}


def endings(found: dict[str, Outcome]) -> dict[str, tuple[str, str]]:
    return {name: (one.status, one.reason) for name, one in found.items()}


def picture(number: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.full((48, 64, 3), number % 200, np.uint8)


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def test_bad_inputs_all_have_a_named_outcome(folder, workspace):
    good = beep_flash(folder / "good.mp4", seconds=2.0)
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text("this is not a video\n" * 100)
    (folder / "notes.txt").write_text("notes")
    (folder / "cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    write_video(folder / "silent.mp4", [picture(i) for i in range(50)], [i / 25 for i in range(50)])
    sound = Sound(np.zeros((1, 16_000), np.float32))
    write_video(folder / "one frame.mp4", [picture(0)], [0.0], sound)
    (folder / "dead link.mp4").symlink_to(folder / "nowhere")
    found = endings(ingest(folder, workspace / "cache"))
    assert found == {
        "good.mp4": ("kept", ""),
        "zero.mp4": ("failed", "empty_file"),
        "text.mp4": ("failed", "not_media"),
        "notes.txt": ("rejected", "not_media"),
        "cut.mp4": ("failed", "decode_error"),
        "silent.mp4": ("rejected", "no_audio"),
        "one frame.mp4": ("rejected", "still_picture"),
        "dead link.mp4": ("failed", "unreadable"),
    }


def test_an_unreadable_file_is_a_failure_that_names_the_fix(folder, workspace, monkeypatch):
    beep_flash(folder / "locked.mp4", seconds=2.0)

    def refused(self: Path, *_args: object, **_named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)  # root may read everything: chmod proves nothing
    source = list_sources(str(folder))[0]
    from pipeline.errors import UnreadableError

    with pytest.raises(UnreadableError, match="check its permissions"):
        Ingest().process(source, workspace)


def test_equal_bytes_are_one_video_and_the_smallest_uri_wins(folder, workspace):
    (folder / "b").mkdir()
    (folder / "a").mkdir()
    beep_flash(folder / "b" / "1.mp4", seconds=2.0)
    shutil.copy(folder / "b" / "1.mp4", folder / "a" / "1.mp4")
    found = ingest(folder, workspace / "cache")
    assert endings(found) == {"a/1.mp4": ("kept", ""), "b/1.mp4": ("rejected", "duplicate")}
    assert found["b/1.mp4"].detail == "same bytes as a/1.mp4"


def test_equal_base_names_in_two_folders_do_not_mix(folder, workspace):
    for name, offset in (("x", 0), ("y", 5)):
        (folder / name).mkdir()
        beep_flash(folder / name / "00001.mp4", seconds=2.0, offset_frames=offset)
    found = ingest(folder, workspace / "cache")
    assert endings(found) == {"x/00001.mp4": ("kept", ""), "y/00001.mp4": ("kept", "")}
    rows = [one.parts[0].row for one in found.values()]
    assert rows[0]
    assert rows[1]
    assert rows[0]["video_id"] != rows[1]["video_id"]


def test_pipes_sockets_devices_and_folders_are_named_at_once_and_never_opened(folder, workspace):
    os.mkfifo(folder / "pipe.mp4")
    (folder / "null.mp4").symlink_to("/dev/null")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket.mp4"))
        beep_flash(folder / "good.mp4", seconds=2.0)
        found = ingest(folder, workspace / "cache")
    assert endings(found) == {
        "good.mp4": ("kept", ""),
        "loop.mp4": ("failed", "unreadable"),
        "null.mp4": ("failed", "not_regular_file"),
        "pipe.mp4": ("failed", "not_regular_file"),
        "socket.mp4": ("failed", "not_regular_file"),
    }
    assert found["pipe.mp4"].detail == "a pipe"


def test_a_name_that_is_not_utf8_is_read_like_any_other(folder, workspace):
    path = beep_flash(folder / "plain.mp4", seconds=2.0)
    path.rename(os.fsdecode(os.fsencode(folder) + b"/bad\xff.mp4"))
    assert endings(ingest(folder, workspace / "cache")) == {"bytes:bad%FF.mp4": ("kept", "")}


def test_a_folder_that_cannot_be_listed_fails_and_stops_no_other_film(
    folder, workspace, monkeypatch
):
    beep_flash(folder / "good.mp4", seconds=2.0)
    (folder / "locked").mkdir()
    scandir = os.scandir

    def refused(path: object) -> object:
        if str(path).endswith("locked"):  # root may list everything: chmod proves nothing
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert endings(ingest(folder, workspace / "cache")) == {
        "good.mp4": ("kept", ""),
        "locked": ("failed", "unreadable"),
    }


HOSTILE = [
    "[a].mp4",
    "*.mp4",
    "?.mp4",
    "%03d.mp4",
    "a b.mp4",
    "q'\"`.mp4",
    "$(touch x).mp4",
    "n\nl.mp4",
    "ñ日本.mp4",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_read_like_any_other(folder, workspace, name):
    beep_flash(folder / "plain.mp4", seconds=2.0).rename(folder / name)
    assert endings(ingest(folder, workspace / "cache")) == {name: ("kept", "")}
    assert not (workspace / "x").exists()


def test_sources_are_never_changed(folder, workspace):
    path = beep_flash(folder / "v.mp4", seconds=2.0)
    (folder / "broken.mp4").write_bytes(b"\0" * 100)
    before = {p.name: (file_sha256(p), p.stat().st_mtime_ns) for p in folder.iterdir()}
    ingest(folder, workspace / "cache")
    assert {p.name: (file_sha256(p), p.stat().st_mtime_ns) for p in folder.iterdir()} == before
    assert path.exists()


def test_a_replaced_file_of_the_same_name_is_read_again(folder, workspace):
    path = beep_flash(folder / "v.mp4", seconds=2.0)
    first = ingest(folder, workspace / "cache")["v.mp4"].parts[0].row
    beep_flash(path, seconds=3.0)
    os.utime(path, ns=(1, 1))
    second = ingest(folder, workspace / "cache")["v.mp4"].parts[0].row
    assert first
    assert second
    assert first["video_id"] != second["video_id"]


def test_the_cache_key_with_this_machines_file_times_is_not_in_the_table(folder, workspace):
    beep_flash(folder / "v.mp4", seconds=2.0)
    assert ingest(folder, workspace / "cache")["v.mp4"].key == ""


def test_the_row_says_which_tracks_are_used_and_what_else_is_there(folder, workspace):
    part = beep_flash(workspace / "part.ts", seconds=2.0)
    (folder / "joined.ts").write_bytes(2 * part.read_bytes())
    good = beep_flash(folder / "good.mp4", seconds=2.0)
    (folder / "two.mp4").write_bytes(2 * good.read_bytes())
    found = ingest(folder, workspace / "cache")
    rows = {name: one.parts[0].row for name, one in found.items()}
    assert (rows["good.mp4"]["video_track"], rows["good.mp4"]["video_tracks"]) == (1, 1)
    assert (rows["good.mp4"]["remarks"], rows["good.mp4"]["clock_restarts_s"]) == ([], [])
    assert rows["two.mp4"]["remarks"][0].startswith("a second mp4 begins at byte")
    assert rows["joined.ts"]["clock_restarts_s"] == pytest.approx([2.0], abs=0.2)
    assert rows["joined.ts"]["num_frames"] == pytest.approx(100, abs=4)
    assert "another recording is joined there" in rows["joined.ts"]["remarks"][0]


def test_remarks_and_restarts_are_columns_of_the_table(folder, workspace):
    part = beep_flash(workspace / "part.ts", seconds=2.0)
    (folder / "joined.ts").write_bytes(2 * part.read_bytes())
    outcomes = ingest(folder, workspace / "cache").values()
    path = workspace / "videos.parquet"
    write_table(path, outcomes, Video)
    (row,) = read_table(path)
    assert (len(row["remarks"]), len(row["clock_restarts_s"])) == (1, 1)


def test_picture_and_sound_on_different_clocks_are_a_named_failure(folder, workspace):
    """The picture starts again from 0 while the sound goes on."""
    parts = [beep_flash(workspace / f"{s}.ts", seconds=4.0, start_s=s) for s in (0.0, 4.0)]
    first, second = (path.read_bytes() for path in parts)
    picture_again, sound_on = _stream_packets(first, 0x100), _stream_packets(second, 0x101)
    share = len(picture_again) // len(sound_on) + 1
    mixed = [first]
    for number, packet in enumerate(sound_on):
        mixed += [*picture_again[number * share : (number + 1) * share], packet]
    (folder / "x.ts").write_bytes(b"".join(mixed))
    (outcome,) = ingest(folder, workspace / "cache").values()
    assert (outcome.status, outcome.reason) == ("failed", "clock_restarts")
    assert "jumps from" in outcome.parts[0].detail


def _stream_packets(stream: bytes, pid: int) -> list[bytes]:
    packets = [stream[at : at + 188] for at in range(0, len(stream), 188)]
    return [one for one in packets if int.from_bytes(one[1:3], "big") & 0x1FFF == pid]


def test_a_table_that_stays_refuses_other_parameters_than_it_was_made_with(workspace, monkeypatch):
    monkeypatch.setenv("LIPFORGE_SOURCE", "absent")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    TABLE.parent.mkdir(parents=True)
    TABLE.touch()
    source = load_params().ingest.source
    for licence, right in ((load_params().ingest.licence, True), ("CC0", False)):
        made_with = {"ingest": {"source": source, "licence": licence}}
        lock = {"stages": {"ingest": {"params": {"params.yaml": made_with}}}}
        Path("dvc.lock").write_text(yaml.safe_dump(lock))
        if right:
            main()
        else:
            with pytest.raises(SourceError, match=r"ingest\.licence is not what"):
                main()


def test_tars_that_are_not_where_they_are_looked_for_are_asked_for(workspace, monkeypatch):
    (workspace / "data/shards/train").mkdir(parents=True)
    tar = workspace / "data/shards/train/a.tar"
    write_json(workspace / "data/shards/index.json", {"shards": [{"name": "train/a.tar"}]})
    tar.touch()
    ask_for_absent_tars()
    assert not (AGAIN / "shards.json").exists()
    monkeypatch.setenv("LIPFORGE_SHARDS", str(workspace / "elsewhere"))
    ask_for_absent_tars()
    assert "1 tars are not at their place" in (AGAIN / "shards.json").read_text()


def test_a_film_that_was_taken_down_is_refused_under_any_name_and_its_row_holds_nothing(
    folder, workspace
):
    film = beep_flash(folder / "a.mp4", seconds=2.0)
    shutil.copy(film, folder / "b.mp4")
    beep_flash(folder / "other.mp4", seconds=2.0, offset_frames=3)
    note_taken_down([file_sha256(film)], {})
    found = ingest(folder, workspace / "cache")
    assert endings(found) == {
        "a.mp4": ("rejected", "taken_down"),
        "b.mp4": ("rejected", "taken_down"),
        "other.mp4": ("kept", ""),
    }
    assert found["a.mp4"].parts[0].row is None
