"""Optional stages are off until they are named on DVC's command line, and then stay on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine.optional_stages import (
    NEEDS,
    is_wanted,
    leave_untrained,
    named_stages,
    note_named,
    with_needed,
)

OFF = dict.fromkeys(NEEDS, "when_named")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("/x/bin/python /x/bin/dvc repro syncdiff", {"syncdiff"}),
        ("python -m dvc repro -f stabilized shards", {"stabilized"}),
        ("dvc exp run -S syncdiff.profile=paper dvc.yaml:syncdiff", {"syncdiff"}),
        ("dvc repro -g s*", {"silent_lip", "stabilized", "syncdiff"}),
        ("dvc -v repro syncdiff", {"syncdiff"}),
        ("dvc --cd syncdiff -q repro --downstream stabilized", {"stabilized"}),
        ("dvc exp -q run --temp -j 2 avsyncnet", {"avsyncnet"}),
        ("dvc exp run -n syncdiff -m stabilized -C avsyncnet --name silent_lip", set()),
        ("dvc repro", set()),
        ("dvc status syncdiff", set()),
        ("dvc exp run -S syncdiff.profile=paper report", set()),
        ("python train.py repro syncdiff", set()),
    ],
)
def test_a_stage_is_named_as_an_argument_of_repro(line, named):
    assert named_stages(line.split()) == named


def test_a_named_stage_brings_what_it_needs():
    assert with_needed({"stabilized"}) == {"avsyncnet", "silent_lip", "stabilized"}


def test_what_is_needed_is_all_that_is_needed():
    for stage, needed in NEEDS.items():
        assert with_needed(needed) <= with_needed({stage})


def test_a_named_stage_stays_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note_named([])
    assert not any(is_wanted(stage, OFF) for stage in NEEDS)
    note_named([["dvc", "repro", "stabilized"]])
    on = {stage: is_wanted(stage, OFF) for stage in NEEDS}
    assert on == {"avsyncnet": True, "silent_lip": True, "stabilized": True, "syncdiff": False}
    files = {path.name: path.read_bytes() for path in Path("data/again").iterdir()}
    note_named([["dvc", "repro"]])
    assert {path.name: path.read_bytes() for path in Path("data/again").iterdir()} == files


def test_what_a_stage_needs_cannot_be_switched_off_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note_named([["dvc", "repro", "stabilized"]])
    Path("data/again/avsyncnet.json").unlink()
    note_named([])
    assert is_wanted("avsyncnet", OFF)


def test_run_always_needs_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_wanted("avsyncnet", {**OFF, "silent_lip": "always"})
    assert not is_wanted("stabilized", {**OFF, "silent_lip": "always"})


def test_the_name_is_found_on_the_command_line_of_the_process_above(tmp_path):
    """A stage's command is started by a shell, that one by DVC."""
    script = "from pipeline.engine.optional_stages import note_named; note_named()"
    dvc = tmp_path / "dvc"
    dvc.write_text(f"import subprocess\nsubprocess.run([{sys.executable!r}, '-c', {script!r}])\n")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run(
        [sys.executable, str(dvc), "repro", "syncdiff"], cwd=tmp_path, env=env, check=True
    )
    found = json.loads((tmp_path / "data/again/syncdiff.json").read_text())
    assert found == {"named": True}
    assert json.loads((tmp_path / "data/again/avsyncnet.json").read_text()) == {}


def test_a_stage_that_is_off_leaves_no_model_of_an_earlier_run_and_says_so(tmp_path, caplog):
    caplog.set_level("INFO")
    model, report = tmp_path / "models" / "syncdiff", tmp_path / "syncdiff.json"
    model.mkdir(parents=True)
    (model / "model.json").write_text("{}")
    leave_untrained("syncdiff", model, report)
    assert [path.name for path in model.iterdir()] == ["untrained.json"]
    assert "dvc repro syncdiff" in json.loads(report.read_text())["fix"]
    assert "syncdiff: off" in caplog.text
