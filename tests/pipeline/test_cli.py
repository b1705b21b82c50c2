import dataclasses
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import StageName, app
from pipeline.demo.targets import AT_LEAST, AT_MOST
from pipeline.engine.manifest import read_table, write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.errors import (
    LipforgeError,
    ManifestError,
    ParamsError,
    TruthError,
    WeightsError,
)
from pipeline.tables.rows import Selected
from pipeline.tables.run_tables import TABLES, table_path
from tests.conftest import ROOT

COLUMNS = frozenset(one.name for one in dataclasses.fields(Selected))


def call(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False, standalone_mode=False)
    return result.output


def test_every_weight_is_listed_with_its_terms():
    shown = call("weights", "list")
    assert "Apache" in shown
    assert "mesh" in shown.lower()


def test_absent_weights_fail_the_check_and_name_the_fix(workspace, monkeypatch):
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(workspace))
    with pytest.raises(WeightsError, match=r"run `lipforge weights fetch`$"):
        call("weights", "verify")
    (workspace / "syncnet_v2.model").write_bytes(b"never trusted")
    with pytest.raises(
        WeightsError, match=r"fetch`; run `lipforge weights fetch syncnet_v2\.model`"
    ):
        call("weights", "verify")


def test_status_before_any_run_says_what_to_do(workspace):
    with pytest.raises(ManifestError, match="dvc repro"):
        call("status")


def test_commands_outside_of_the_project_say_so(workspace):
    with pytest.raises(ParamsError, match="project's folder"):
        call("demo")


def test_the_demo_is_not_rendered_for_another_source(workspace):
    (workspace / "params.yaml").write_text("ingest: {source: /videos}\n")
    call("demo", "--if-source")
    assert [path.name for path in (workspace / "data/demo").iterdir()] == ["not-used.txt"]
    call("truth")
    assert json.loads((workspace / "reports/truth.json").read_text())["compared"] is False


def test_strict_truth_fails_when_a_target_is_missed(workspace, monkeypatch):
    (workspace / "params.yaml").write_text("{}\n")
    metrics = {**AT_LEAST, **AT_MOST, "seconds_by_kind": {}, "wrong": []}
    monkeypatch.setattr("pipeline.cli.write_comparison", lambda *_: metrics)
    assert "cuts_f1" in call("truth", "--strict")
    metrics["cuts_f1"] = 0.97
    assert "cuts_f1" in call("truth")
    with pytest.raises(TruthError, match=r"targets for cuts_f1$"):
        call("truth", "--strict")


@pytest.mark.parametrize("words", [["nonsense"], ["run", "foo"], ["demo", "--bad"]])
def test_a_misuse_is_a_message_and_exit_code_2(words):
    command = [sys.executable, "-m", "pipeline", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_every_stage_can_be_run_by_name():
    assert {stage.value for stage in StageName} == {*TABLES, "report"}


def test_every_declared_entry_point_is_there_and_every_stage_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert list(declared["lipforge.stages"]) == [name.value for name in StageName]
    for group in declared.values():
        for target in group.values():
            module, _, function = target.partition(":")
            text = (ROOT / f"{module.replace('.', '/')}.py").read_text()
            assert f"def {function}(" in text, target


def test_run_calls_the_stage_that_its_entry_point_names(monkeypatch):
    called = []

    class Point:
        def load(self):
            return lambda: called.append("ingest")

    monkeypatch.setattr("pipeline.cli.entry_points", lambda group, name: [Point()])
    call("run", "ingest")
    assert called == ["ingest"]


def test_a_stage_that_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setattr("pipeline.cli.entry_points", lambda group, name: [])
    with pytest.raises(LipforgeError, match=r"stage ingest: not installed .*pip install"):
        call("run", "ingest")


def test_inspect_shows_a_part_with_the_clip_it_was_cut_from(workspace: Path) -> None:
    from tests.stages.fake_run import write_run

    (clip, *_) = write_run(Path("data"), clips_each=1)
    table = table_path(Path("data"), "select")
    rows = read_table(table)
    parts = [
        Part("kept", row={k: v for k, v in row.items() if k in COLUMNS} | {"clip_id": "part-of-it"})
        for row in rows
        if row["source_clip_id"] == clip.clip_id
    ]
    write_table(table, [Outcome(clip.clip_id, "kept", tuple(parts))], Selected)
    result = CliRunner().invoke(app, ["inspect", "part-of"])
    assert result.exit_code == 0, result.output
    for stage in ("faces", "sync", "stretches", "quality", "select"):
        assert f"{stage}\n" in result.output.replace(" ", "")
