"""Results of a job, brought from its folder to that of who submitted it, with real DVC."""

import subprocess
import sys
from pathlib import Path

from pipeline.engine.side_store import SideStore
from pipeline.submit.results import fetch, read_results, store_results

LINE = """
stages:
  one:
    cmd: {python} one.py
    outs: [data/one]
  two:
    cmd: {python} two.py
    deps: [data/one]
    outs: [reports/two.html: {{cache: false}}]
  broken:
    cmd: {python} -c "raise SystemExit(3)"
    deps: [reports/two.html]
    outs: [data/broken]
"""
ONE = """
from pathlib import Path
Path("data/one/deep").mkdir(parents=True)
Path("data/one/table").write_text("rows")
Path("data/one/deep/er").write_text("more")
"""
TWO = """
from pathlib import Path
Path("reports").mkdir(exist_ok=True)
Path("reports/two.html").write_text("page")
"""


def dvc(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def a_project(folder: Path) -> None:
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (folder / "dvc.yaml").write_text(LINE.format(python=sys.executable))
    (folder / "one.py").write_text(ONE)
    (folder / "two.py").write_text(TWO)


def test_afterwards_the_workspace_is_as_after_a_run_here(tmp_path, monkeypatch):
    store = SideStore(str(tmp_path / "cache"))
    for name in ("job", "laptop"):
        a_project(tmp_path / name)
    monkeypatch.chdir(tmp_path / "job")
    done = dvc("repro")
    assert done.returncode != 0, "the last stage is broken: the first two come back all the same"
    store_results(store, "j", "n", done.returncode)

    monkeypatch.chdir(tmp_path / "laptop")
    Path("data/one").mkdir(parents=True)
    Path("data/one/stale").write_text("of an older run")
    results = read_results(store, "j", "n")
    assert results is not None
    assert results.outs == ("data/one",)
    fetch(store, "j", results)
    assert sorted(p.name for p in Path("data/one").rglob("*")) == ["deep", "er", "table"]
    assert Path("reports/two.html").read_text() == "page"
    again = dvc("repro", "two")
    assert "didn't change, skipping" in again.stdout
    assert "Running stage" not in again.stdout, again.stdout + again.stderr
