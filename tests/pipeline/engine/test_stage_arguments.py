"""Stages as commands take no arguments: they say what they are, and do nothing."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.engine.command import PAGES, run_main
from tests.conftest import ROOT


def stage_commands() -> list[str]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return [stage["cmd"] for stage in stages.values()]


def called(command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    python, *rest = command.split()
    assert python == "python"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LIPFORGE_RUNNER": "serial"}
    return subprocess.run(
        [sys.executable, *rest, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_dvc_calls_every_stage_without_arguments_and_each_has_a_page():
    for command in stage_commands():
        assert re.fullmatch(r"python -m (stages|trainers)\.\w+", command)
        name = command.rpartition(".")[2]
        assert (ROOT / "docs" / f"{PAGES.get(name, name)}.md").exists(), name


@pytest.mark.parametrize("module", ["stages.faces", "stages.truth", "trainers.features"])
def test_a_stage_asked_for_help_says_what_it_is_and_does_nothing(workspace, module):
    command = f"python -m {module}"
    ended = called(command, "--help", cwd=workspace)
    assert (ended.returncode, ended.stderr) == (0, "")
    first = ast.get_docstring(ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text()))
    assert ended.stdout.startswith(first.splitlines()[0])
    assert "params.yaml" in ended.stdout
    assert f"`{command}` takes no arguments" in ended.stdout
    assert not list(workspace.iterdir())


@pytest.mark.parametrize("argument", ["--force", "evaluate"])
def test_a_stage_given_arguments_ends_with_2_and_does_nothing(workspace, argument):
    ended = called("python -m stages.select", argument, cwd=workspace)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"error: {argument}: no arguments are taken, nothing was done" in ended.stderr
    assert "section `select`" in ended.stderr
    assert not list(workspace.iterdir())


def test_the_arguments_of_a_process_that_calls_a_stage_are_not_the_stages(monkeypatch):
    ran: list[int] = []
    monkeypatch.setattr(sys, "argv", ["pytest", "--help", "tests"])
    run_main(lambda: ran.append(1))
    assert ran == [1]
