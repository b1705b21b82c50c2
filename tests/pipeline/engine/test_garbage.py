"""`lipforge cache gc`: what may be removed, what never, and who says so."""

import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.engine import roots
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import execute
from pipeline.engine.garbage import YOUNG_S, find_garbage, remove
from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.engine.side_store import SideStore, side_store
from pipeline.errors import ManifestError, StorageError, TooManyFailuresError
from pipeline.params.curation import Params
from pipeline.tables.run_tables import table_path
from tests.doubles import Deadly, Half, Stopped

KEY, OTHER, THIRD = "ab" * 32, "cd" * 32, "ef" * 32


@pytest.fixture(params=["local", "memory"])
def cache(request, workspace, monkeypatch) -> Cache:
    """The cache of an empty workspace; every entry counts as old."""
    monkeypatch.setattr("pipeline.engine.garbage.YOUNG_S", -60.0)
    where = {"local": str(workspace / "cache"), "memory": f"memory://{workspace.name}"}
    monkeypatch.setenv("LIPFORGE_CACHE", where[request.param])
    return open_cache()


def commit(*keys: str, stage: str = "faces") -> None:
    cache = open_cache()
    for key in keys:
        with cache.workdir() as workdir:
            (workdir / "clip.bin").write_text("pixels")
            cache.commit(key, {"stage": stage, "status": "kept", "parts": []}, workdir)


def call(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["cache", "gc", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def table_with(*keys: str) -> None:
    rows = [
        Outcome(key, "kept", (Part("kept", row={"number": 1, "half": 2, "artifact": key}),), key)
        for key in keys
    ]
    write_table(table_path(Path("data"), "faces"), rows, Half)


def left() -> list[str]:
    return sorted(open_cache().keys())


def test_what_no_table_names_is_removed_and_what_it_frees_is_said(cache):
    commit(KEY, OTHER)
    table_with(KEY)
    said = call("--yes")
    assert "removed 1 entries" in said
    assert [line for line in said.splitlines() if "faces" in line and " 1 " in line]
    assert left() == [KEY]


def test_without_a_terminal_and_without_yes_nothing_is_removed(cache):
    commit(KEY, OTHER)
    table_with(KEY)
    assert "nothing removed" in call(code=1)
    assert left() == [KEY, OTHER]


def test_a_no_at_the_terminal_removes_nothing_and_a_yes_does(cache, monkeypatch):
    commit(KEY, OTHER)
    table_with(KEY)
    for answer, code, rest in ((False, 1, [KEY, OTHER]), (True, 0, [KEY])):
        monkeypatch.setattr("pipeline.cli._agrees", lambda answer=answer: answer)
        call(code=code)
        assert left() == rest


def test_without_tables_and_roots_it_is_refused(cache):
    commit(KEY)
    with pytest.raises(ManifestError, match="would empty the whole cache"):
        call("--yes")
    assert left() == [KEY]


def in_another_workspace(monkeypatch, folder: Path, *keys: str) -> roots.Root:
    """Register a workspace in `folder` that needs `keys`; come back."""
    here = Path.cwd()
    folder.mkdir()
    monkeypatch.chdir(folder)
    roots.begin("faces", keys)
    roots.end("faces")
    root = roots.workspace_root()
    monkeypatch.chdir(here)
    return root


def test_what_another_project_on_the_cache_needs_is_kept(cache, tmp_path, monkeypatch):
    commit(KEY, OTHER, THIRD)
    table_with(KEY)
    other = in_another_workspace(monkeypatch, tmp_path / "other", OTHER)
    said = call("--yes")
    assert left() == [KEY, OTHER]
    assert other.id in said
    assert "here" in said


def test_a_workspace_that_is_gone_is_reported_and_kept_until_it_is_named(
    cache, tmp_path, monkeypatch
):
    commit(KEY, OTHER)
    table_with(KEY)
    gone = in_another_workspace(monkeypatch, tmp_path / "other", OTHER)
    shutil.rmtree(tmp_path / "other")
    assert "gone: --forget-root" in call("--yes")
    assert left() == [KEY, OTHER]
    with pytest.raises(ManifestError, match=gone.id):
        call("--yes", "--forget-root", "nonsense")
    call("--yes", "--forget-root", gone.id)
    assert left() == [KEY]


def test_a_copy_of_a_workspace_has_an_id_of_its_own(cache, tmp_path, monkeypatch):
    first = in_another_workspace(monkeypatch, tmp_path / "other", KEY)
    shutil.copytree(tmp_path / "other", tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    roots.begin("faces", [OTHER])
    assert roots.workspace_root().id != first.id
    assert roots.needed(side_store()) == {KEY, OTHER}


def test_a_damaged_list_of_needs_stops_before_anything_is_removed(cache, tmp_path, monkeypatch):
    commit(KEY, OTHER)
    table_with(KEY)
    root = in_another_workspace(monkeypatch, tmp_path / "other", OTHER)
    side_store().write(f"roots/{root.id}/faces.keys", f"{OTHER}\n".encode())
    with pytest.raises(StorageError, match="damaged, so nothing is removed"):
        call("--yes")
    assert left() == [KEY, OTHER]


def test_who_registers_while_the_question_is_asked_keeps_his_entries(cache, tmp_path, monkeypatch):
    commit(KEY, OTHER)
    garbage = find_garbage(cache, side_store(), {KEY})
    assert [one.key for one in garbage] == [OTHER]
    in_another_workspace(monkeypatch, tmp_path / "other", OTHER)
    assert remove(cache, side_store(), garbage, {KEY}) == 0
    assert left() == [KEY, OTHER]


def test_what_ingest_knows_of_the_sources_stays(cache):
    commit(KEY, stage="ingest")
    assert find_garbage(cache, side_store(), set()) == []


def test_faces_made_ahead_stay_while_scenes_has_not_ended(cache):
    commit(KEY)
    roots.begin("scenes", [])
    assert find_garbage(cache, side_store(), set()) == []
    roots.end("scenes")
    assert [one.key for one in find_garbage(cache, side_store(), set())] == [KEY]


def test_results_of_a_job_go_when_they_were_fetched_and_not_before(cache):
    store = side_store()
    store.write("runs/one/manifest.json", b"{}")
    assert find_garbage(cache, store, set()) == []
    store.write("runs/one/fetched", b"")
    garbage = find_garbage(cache, store, set())
    assert [(one.stage, one.size_bytes) for one in garbage] == [("(results of jobs)", 2)]
    assert remove(cache, store, garbage, set()) == 1
    assert store.files("runs") == []


def test_an_entry_is_garbage_when_its_newest_file_is_an_hour_old(workspace):
    commit(KEY, OTHER)
    for path in Path(".cache/items").rglob(f"{KEY}/*"):
        old = path.stat().st_mtime - YOUNG_S - 60
        os.utime(path, (old, old))
    found = find_garbage(open_cache(), side_store(), set())
    assert [(one.key, one.stage) for one in found] == [(KEY, "faces")]
    assert found[0].size_bytes > len("pixels")


def test_an_entry_that_was_never_completed_is_garbage(cache, workspace):
    side_store().write(f"ab/{KEY}/clip.bin", b"half")
    garbage = find_garbage(cache, side_store(), set())
    assert [(one.key, one.stage, one.size_bytes) for one in garbage] == [(KEY, "(incomplete)", 4)]
    remove(cache, side_store(), garbage, set())
    assert [one for one in side_store().files() if KEY in one.name] == []


@pytest.mark.parametrize(
    ("stage", "ends"), [(Deadly(), TooManyFailuresError), (Stopped(), KeyboardInterrupt)]
)
def test_what_a_stage_had_finished_before_it_failed_or_was_stopped_stays(
    cache, monkeypatch, stage, ends
):
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    with pytest.raises(ends):
        execute(stage, [2, 4, 6], table_path(Path("data"), "faces"), Half, Params())
    assert "removed 0 entries" in call("--yes")
    assert len(left()) == 2


def test_the_items_of_a_failed_stage_are_kept_for_other_projects_collections_too(
    cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    with pytest.raises(KeyboardInterrupt):
        execute(Stopped(), [2, 4, 6], table_path(Path("data"), "faces"), Half, Params())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "removed 0 entries" in call("--yes")
    assert len(left()) == 2


def test_a_stray_file_beside_the_roots_is_no_root(cache):
    commit(KEY, OTHER)
    table_with(KEY)
    path = Path(side_store().root) / "roots" / ".DS_Store"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert "removed 1 entries" in call("--yes")


def test_a_bucket_that_is_not_there_is_not_made(store, monkeypatch):
    monkeypatch.setattr("pipeline.remote.FIRST_WAIT_S", 0.001)
    with pytest.raises(StorageError):
        SideStore("s3://mistyped/x").write("roots/a/b.keys", b"")
    with pytest.raises(StorageError):
        SideStore("s3://mistyped/x").write("roots/a/b.keys", b"")


def test_an_unknown_scheme_is_one_line():
    with pytest.raises(StorageError, match=r"LIPFORGE_CACHE=foo://x: .*foo"):
        SideStore("foo://x")
