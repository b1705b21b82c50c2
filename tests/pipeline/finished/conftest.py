"""A run of the curation on three films of the demo corpus, finished, for tests of its shards."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

STAGES = ("ingest", "scenes", "faces", "sync", "stretches", "quality", "select", "shards")
VIDEOS = "films"


def run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of ours in a workspace, serially."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, **settings(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def settings() -> dict[str, str]:
    """Return the environment of all processes of these tests."""
    return {
        "PYTHONPATH": str(ROOT),
        "LIPFORGE_RUNNER": "serial",
        "LIPFORGE_WEIGHTS": str(ROOT / ".cache" / "weights"),
        "COLUMNS": "200",
    }


def curate(folder: Path, stages: tuple[str, ...] = STAGES) -> None:
    """Run stages; their output is shown where one fails."""
    for stage in stages:
        done = run(folder, f"stages.{stage}")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run; not to be changed."""
    from pipeline.demo.corpus import render_corpus

    folder = tmp_path_factory.mktemp("curated")
    render_corpus(folder / "corpus", videos=3)
    shutil.move(folder / "corpus" / "videos", folder / VIDEOS)
    write_params(folder)
    curate(folder)
    return folder


def write_params(folder: Path) -> None:
    """Write our parameters, for the films in `VIDEOS`."""
    text = (ROOT / "params.yaml").read_text()
    assert "source: data/demo/videos" in text
    text = text.replace("source: data/demo/videos", f"source: {VIDEOS}")
    (folder / "params.yaml").write_text(text)


@pytest.fixture
def finished(curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run as the working directory."""
    return enter_copy(curated, tmp_path, monkeypatch)


def enter_copy(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy a run and make it the working directory."""
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    monkeypatch.chdir(folder)
    for name, value in settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LIPFORGE_SCRATCH", str(tmp_path / "scratch"))
    return folder
