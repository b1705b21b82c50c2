"""The page of `lipforge audit` in a real browser: three clips labelled by key, saved and scored."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.audit import run
from pipeline.audit.key_file import read_key
from pipeline.cli import app
from tests.browser import browser
from tests.stages.fake_run import HOSTILE, write_run
from tests.stages.test_report import opener, write_files

SMALL_SIDE = 3
"""Clips on each side of each limit."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return write_files(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def workspace(tmp_path, monkeypatch, cache) -> Path:
    """Return a folder with tables, whose audit page was written; the working folder."""
    write_run(tmp_path / "data", HOSTILE[:4], clips_each=2)
    (tmp_path / "params.yaml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    make(Path("reports/audit.html"), cache)
    return tmp_path


def make(out: Path, cache: Path, seed: int = 0, megabytes: float = 50) -> str:
    return run.write_page(Path("data"), out, SMALL_SIDE, seed, megabytes, (), opener(cache))


def test_clips_are_labelled_by_key_saved_and_scored(workspace: Path):
    with browser(workspace / "profile") as page:
        page.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(workspace / "saved")
        )
        page.open((workspace / "reports/audit.html").as_uri())
        page.run("document.getElementById('name').value = 'Ann'; 0")
        page.run("document.querySelector('#start button').click()")
        page.until("document.getElementById('film').currentTime > 0.2")
        for key in ("g", "b", "u", "ArrowLeft", "b"):  # the third one corrected
            page.press(key)
        assert page.run("document.getElementById('count').textContent").endswith("3 labelled")
        page.open((workspace / "reports/audit.html").as_uri())  # as after a crash
        page.run("document.getElementById('name').value = 'Ann'; 0")
        page.run("document.querySelector('#start button').click()")
        assert page.run("document.getElementById('count').textContent").endswith("3 labelled")
        page.run("document.getElementById('save').click()")
        saved = waited_for(workspace / "saved", page)
    content = json.loads(saved.read_text())
    assert content["labeller"] == "Ann"
    assert [one["label"] for one in content["labels"]] == ["good", "bad", "bad"]
    done = CliRunner().invoke(app, ["audit", "score", str(saved)])
    assert done.exit_code == 0, done.output
    assert "labels: Ann 3" in done.output
    assert json.loads(Path("reports/audit_score.json").read_text())["rules"]
    assert "Audit of the limits" in Path("reports/audit_score.html").read_text()


def waited_for(folder: Path, page) -> Path:
    for _ in range(100):
        if found := list(folder.glob("labels-Ann-*.json")):
            return found[0]
        page.run("new Promise((done) => setTimeout(done, 100))")
    raise AssertionError("nothing was saved")


def test_the_page_says_nothing_of_rules_and_sides(workspace: Path):
    text = Path("reports/audit.html").read_text()
    key = read_key(Path("reports/audit.key.json"))
    assert not [rule.name for rule in key.rules if rule.name in text]
    assert not [one for rule in key.rules for _, one in rule.drawn if one.clip_id in text]
    assert "outside" not in text
    names = {name for rule in key.rules for name, _ in rule.drawn}
    assert text.count("<li data-clip=") == len(names) >= SMALL_SIDE


def test_the_same_run_and_seed_give_the_same_bytes(workspace: Path, cache: Path):
    make(Path("again/audit.html"), cache)
    make(Path("other/audit.html"), cache, seed=1)
    for name in ("audit.html", "audit.key.json"):
        assert Path("again", name).read_bytes() == Path("reports", name).read_bytes()
        assert Path("other", name).read_bytes() != Path("reports", name).read_bytes()


def test_what_does_not_fit_or_is_gone_is_said(workspace: Path, cache: Path):
    assert "left out: --max-mb is used up" in make(Path("small.html"), cache, megabytes=0.2)
    assert read_key(Path("small.key.json")).left_out
    said = make(Path("gone.html"), cache / "emptied")
    assert "left out: not in the item cache" in said


def test_an_unknown_limit_is_refused_with_the_known_ones(workspace: Path):
    done = CliRunner().invoke(app, ["audit", "page", "--rule", "min_facepx"])
    assert "known: min_face_px" in str(done.exception)
