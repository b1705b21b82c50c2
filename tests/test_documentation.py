"""What the documentation names must be there."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.source_tree import modules

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "pipeline|stages|trainers|tests|benchmarks|docs|deploy"
PATH = re.compile(rf"(?<![\w./-])(?:{FOLDERS})(?:/[\w.*-]++)++/?(?!<)")
MODULE = re.compile(r"(?<![\w./-])(?:pipeline|stages|trainers|benchmarks)(?:\.\w+)+")
LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")
RUN = re.compile(r"python -m ((?:pipeline|stages|trainers|benchmarks)[\w.]*)")


def paths_named(text: str) -> set[str]:
    """Return every path below a source folder that a text names."""
    return {one.rstrip("./") for one in PATH.findall(text)}


def is_there(path: str) -> bool:
    """Return whether a path or pattern names at least one file or folder of the repository."""
    return (ROOT / path).exists() or any(ROOT.glob(path))


def module_is_there(name: str) -> bool:
    """Return whether a dotted name is a module of ours, or a name in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:end])
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return end == len(parts) or parts[end] in _text_of(path)
    return False


def _text_of(path: Path) -> str:
    file = path.with_suffix(".py")
    return file.read_text(encoding="utf-8") if file.exists() else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_the_documentation_names_exists(page):
    gone = [one for one in sorted(paths_named(page.read_text("utf-8"))) if not is_there(one)]
    assert gone == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_the_documentation_names_exists(page):
    text = page.read_text("utf-8")
    gone = [one for one in sorted(set(MODULE.findall(text))) if not module_is_there(one)]
    assert gone == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page):
    links = LINK.findall(page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_documentation_can_be_started(page):
    for name in RUN.findall(page.read_text("utf-8")):
        path = ROOT.joinpath(*name.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


@pytest.mark.parametrize("path", modules().values(), ids=str)
def test_every_path_that_our_code_names_exists(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert [one for one in sorted(paths_named(text)) if not is_there(one)] == []


def test_a_path_that_is_gone_is_found():
    text = "see `pipeline/media/audio.py`, pipeline/params.py and trainers/networks/."
    named = paths_named(text)
    gone = {"pipeline/params.py", "trainers/networks"}
    assert named == {"pipeline/media/audio.py", *gone}
    assert {one for one in named if not is_there(one)} == gone
    assert not module_is_there("pipeline.params.nothing")
    assert module_is_there("pipeline.params.curation.load_params")


BARE = re.compile(r"(?<![\w./<>-])[a-z_]\w*\.py\b")
FILES = {path.name for top in FOLDERS.split("|") for path in (ROOT / top).rglob("*.py")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_name_without_a_folder_in_the_documentation_is_one_of_ours(page):
    assert set(BARE.findall(page.read_text("utf-8"))) <= FILES


@pytest.mark.parametrize("path", modules().values(), ids=str)
def test_every_file_name_without_a_folder_in_our_code_is_one_of_ours(path):
    assert set(BARE.findall((ROOT / path).read_text(encoding="utf-8"))) <= FILES
