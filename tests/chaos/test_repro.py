"""The real line under DVC: `dvc repro report` is ended at random moments and called again."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.chaos.rehearsal import PATIENCE_S
from tests.test_line import Workspace

pytestmark = pytest.mark.chaos

FILMS = 4
LINE = ("dvc", "repro", "report")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipeline.demo.corpus import render_corpus

    corpus = tmp_path_factory.mktemp("corpus") / "demo"
    render_corpus(corpus, videos=FILMS)
    return corpus / "videos"


@pytest.fixture(scope="module")
def whole(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, float]:
    """A run in which nothing happens, and how long it took here, in s."""
    workspace = Workspace(tmp_path_factory.mktemp("whole"), films, LIPFORGE_WORKERS="2")
    started_s = time.monotonic()
    workspace.run(*LINE)
    return workspace, time.monotonic() - started_s


def bytes_of(workspace: Workspace) -> dict[str, str]:
    """All outputs but the page, which names the run's time."""
    found = workspace.hashes()
    return {name: sha for name, sha in found.items() if name != "reports/report.html"}


def entries(workspace: Workspace) -> dict[Path, int]:
    """When each entry of the item cache was written, in ns."""
    found = (workspace.folder / ".cache/items").glob("??/*/meta.json")
    return {path: path.stat().st_mtime_ns for path in found}


def processes(workspace: Workspace, module: str) -> list[psutil.Process]:
    """Return the processes of a workspace whose command names a module."""
    found = []
    for one in psutil.process_iter(["cmdline", "cwd"]):
        words = one.info["cmdline"] or []
        if one.info["cwd"] == str(workspace.folder) and any(module in word for word in words):
            found.append(one)
    return found


def terminate_all(workspace: Workspace, dvc: "subprocess.Popen[str]") -> None:
    """As a terminal's or a batch system's end: the whole group."""
    os.killpg(dvc.pid, signal.SIGTERM)


def kill_all(workspace: Workspace, dvc: "subprocess.Popen[str]") -> None:
    os.killpg(dvc.pid, signal.SIGKILL)


def kill_the_stage(workspace: Workspace, dvc: "subprocess.Popen[str]") -> None:
    for one in processes(workspace, "stages."):
        one.kill()


WAYS = {
    "the real line under DVC: SIGTERM to all": terminate_all,
    "the real line under DVC: `kill -9` of DVC and stage": kill_all,
    "the real line under DVC: `kill -9` of the stage alone": kill_the_stage,
}


@pytest.mark.parametrize(
    ("way", "seed"),
    [
        pytest.param(way, seed, marks=pytest.mark.fault(words))
        for words, way in WAYS.items()
        for seed in range(3)
    ],
)
def test_the_line_goes_on_where_it_was_ended(
    films: Path,
    whole: tuple[Workspace, float],
    tmp_path: Path,
    record_property: Callable[..., None],
    way: Callable[..., None],
    seed: int,
) -> None:
    (tmp_path / "workspace").mkdir()
    workspace = Workspace(tmp_path / "workspace", films, LIPFORGE_WORKERS="2")
    undisturbed, takes_s = whole
    with (tmp_path / "log").open("w") as log:
        dvc = workspace.begin(*LINE, log=log)
        time.sleep(takes_s * Random(f"{way.__name__}{seed}").uniform(0.1, 0.9))
        way(workspace, dvc)
        dvc.wait(PATIENCE_S)
    before = entries(workspace)
    workspace.run(*LINE)
    after = entries(workspace)
    repeated = sum(after.get(path) != written for path, written in before.items())
    equal = bytes_of(workspace) == bytes_of(undisturbed)
    lost = len({path.parent.name for path in entries(undisturbed)} - {p.parent.name for p in after})
    facts = {"lost": lost, "repeated": repeated, "in_flight": 2, "equal": equal}
    record_property("verdict", facts)
    assert equal
    assert lost == 0
    assert repeated <= 2
