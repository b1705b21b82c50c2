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


def test_code_that_is_moved_away_counts_as_changed(repository):
    (repository / "docs").mkdir()
    git(repository, "mv", "pipeline/a.py", "docs/a.py")
    message = repository / ".git" / "COMMIT_EDITMSG"
    message.write_text("Move\n")
    assert check(repository, str(message)).returncode == 1
    assert check(repository).returncode == 1


def test_code_changed_inside_of_a_merge_counts(repository):
    git(repository, "checkout", "-q", "-b", "other")
    edit(repository, "README.md")
    commit(repository, "Other")
    git(repository, "checkout", "-q", "-")
    edit(repository, "LICENCE.md")
    commit(repository, "Here")
    git(repository, "merge", "-q", "--no-ff", "--no-commit", "other")
    edit(repository, "pipeline/a.py")
    commit(repository, "Merge with more")
    assert "Merge with more" in check(repository).stderr


@pytest.mark.parametrize("content", [None, "", "another line\n\n\n"])
def test_a_changelog_that_is_gone_or_only_longer_by_blanks_lists_nothing(repository, content):
    path = repository / "CHANGELOG.md"
    path.unlink() if content is None else path.write_text(content)
    edit(repository, "pipeline/a.py")
    assert check(repository).returncode == 1


def test_it_looks_at_the_whole_repository_from_any_folder(repository):
    edit(repository, "stages/b.py")
    assert check(repository / "pipeline").returncode == 1


@pytest.mark.parametrize(
    "message", ["Faster\n# no-changelog\n", "Faster\n\nThis is not a no-changelog change\n"]
)
def test_only_the_word_itself_exempts(repository, message):
    edit(repository, "pipeline/a.py")
    git(repository, "add", "-A")
    path = repository / ".git" / "COMMIT_EDITMSG"
    path.write_text(message)
    assert check(repository, str(path)).returncode == 1


def test_a_commit_without_a_message_is_named(repository):
    edit(repository, "pipeline/a.py")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "--allow-empty-message", "-m", "")
    assert "(no message)" in check(repository).stderr


@pytest.mark.parametrize("message", ["Move [no-changelog]", "Move\n\nno-changelog: only moved"])
def test_the_word_exempts_at_the_start_of_a_line_or_in_brackets(repository, message):
    edit(repository, "pipeline/a.py")
    commit(repository, message)
    assert check(repository).returncode == 0
