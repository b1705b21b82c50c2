"""`.ci/changelog.py`: a change of code has a line in CHANGELOG.md or says that it needs none."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.hooksPath=/dev/null"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    edit(tmp_path, "CHANGELOG.md")
    edit(tmp_path, "pipeline/a.py")
    commit(tmp_path, "Begin")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True)


def edit(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    with (folder / name).open("a") as stream:
        stream.write("another line\n")


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / "changelog.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("folder", ["pipeline", "stages", "trainers"])
def test_a_commit_of_code_without_a_line_fails_and_is_named(repository, folder):
    edit(repository, f"{folder}/b.py")
    commit(repository, "Faster")
    done = check(repository)
    assert done.returncode == 1
    assert "Faster: no line in CHANGELOG.md" in done.stderr
    assert "no-changelog" in done.stderr


def test_a_line_in_a_later_commit_is_enough(repository):
    edit(repository, "stages/b.py")
    commit(repository, "Faster")
    edit(repository, "CHANGELOG.md")
    commit(repository, "Say so")
    assert check(repository).returncode == 0
    edit(repository, "stages/b.py")
    commit(repository, "Faster still")
    assert check(repository).returncode == 1


def test_a_commit_that_says_no_changelog_passes_and_does_not_excuse_the_next(repository):
    edit(repository, "stages/b.py")
    commit(repository, "Move it\n\nno-changelog")
    assert check(repository).returncode == 0
    edit(repository, "stages/b.py")
    commit(repository, "Change it")
    assert check(repository).returncode == 1


def test_changes_outside_of_the_code_need_no_line(repository):
    edit(repository, "tests/test_a.py")
    edit(repository, "README.md")
    commit(repository, "More tests")
    assert check(repository).returncode == 0


@pytest.mark.parametrize("name", ["pipeline/a.py", "trainers/new.py"])
def test_an_uncommitted_change_of_code_needs_a_line_too(repository, name):
    edit(repository, name)
    assert check(repository).returncode == 1
    edit(repository, "CHANGELOG.md")
    assert check(repository).returncode == 0


def test_the_hook_looks_at_the_commit_that_is_being_made(repository):
    edit(repository, "pipeline/a.py")
    git(repository, "add", "-A")
    message = repository / ".git" / "COMMIT_EDITMSG"
    message.write_text("Faster\n")
    assert check(repository, str(message)).returncode == 1
    message.write_text("Move\n\nno-changelog\n")
    assert check(repository, str(message)).returncode == 0


def test_a_folder_without_git_has_nothing_to_check(tmp_path):
    done = check(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
