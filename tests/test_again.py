"""What DVC would take for done: a film that was away while a stage ran is not lost."""

import json
from pathlib import Path

import pytest

from pipeline.engine import again, optional_stages
from pipeline.engine.manifest import read_table
from tests.dvc_dependencies import stages
from tests.media import beep_flash
from tests.test_line import Workspace


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for number, name in enumerate(("a.mp4", "b.mp4", "c.mp4")):
        beep_flash(folder / name, seconds=2 + number)
    return folder


def reasons(workspace: Workspace) -> dict[str, str]:
    rows = read_table(workspace.folder / "data/scenes/scenes.parquet")
    return {row["item_id"]: row["reason"] for row in rows}


def test_a_film_that_vanishes_during_a_stage_is_tried_again_by_the_next_repro(films, tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    workspace = Workspace(folder, films, LIPFORGE_RUNNER="serial")
    workspace.run("dvc", "repro", "ingest")
    film, away = films / "b.mp4", films.parent / "away.mp4"
    film.rename(away)
    film.symlink_to(tmp_path / "nowhere")

    said = workspace.run("dvc", "repro", "-s", "scenes")
    assert "scenes: 1 item unreadable: `dvc repro` will try again" in said
    assert sorted(reasons(workspace).values()) == ["", "", "unreadable"]
    assert "didn't change" in workspace.run("dvc", "repro", "-s", "scenes")

    film.unlink()
    away.rename(film)
    workspace.run("dvc", "repro", "scenes")
    assert set(reasons(workspace).values()) == {""}
    assert workspace.computed()["scenes"] == 3 + 1
    assert "Running stage 'scenes'" not in workspace.run("dvc", "repro", "scenes")


def test_every_stage_of_items_depends_on_its_own_agenda():
    wanted = {
        name: dep
        for name, stage in stages().items()
        for dep in stage["deps"]
        if str(dep).startswith(f"{again.AGAIN}/")
    }
    named = (*again.STAGES, *optional_stages.NEEDS)
    assert wanted == {name: f"{again.AGAIN}/{name}.json" for name in named}


def test_ingest_takes_back_what_was_unfinished_and_leaves_what_was_asked_for(workspace):
    again.note_unfinished("scenes", {"a": "unreadable"})
    again.ask_for(["faces"], ["key"])
    again.begin()
    agenda = {name: json.loads((again.AGAIN / f"{name}.json").read_text()) for name in again.STAGES}
    assert agenda.pop("faces") == {"asked": ["key"]}
    assert set(map(str, agenda.values())) == {"{}"}


def test_a_retry_on_request_makes_every_stage_look(workspace, monkeypatch):
    monkeypatch.setenv("LIPFORGE_RETRY", "no_face")
    again.begin()
    assert json.loads((again.AGAIN / "faces.json").read_text()) == {
        "asked": ["LIPFORGE_RETRY=no_face"]
    }
