"""Scratch folders: gone with their process, and never those of one that lives."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from pipeline.atomic import ABANDONED_S
from pipeline.errors import StorageError
from pipeline.scratch import machine, own_folder, scratch_folder, sweep
from tests.conftest import ROOT

HOLD = """
import sys
from pathlib import Path
from pipeline.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "film").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_its_owners_alone_and_goes_with_the_block(tmp_path):
    with scratch_folder(tmp_path / "tmp") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent == tmp_path / "tmp"
    assert not folder.exists()


def test_what_a_killed_process_left_goes_at_once_and_a_live_ones_stays(tmp_path):
    """Also a folder of a process of this number that began at another time."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout
        folder = tmp_path / owner.stdout.readline().strip()
        again = tmp_path / f"{machine()}-{os.getpid()}-1-0123456789ab"
        again.mkdir()
        sweep(tmp_path)
        assert [path.name for path in folder.iterdir()] == ["film"]
        assert not again.exists()
        owner.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # dead, but not yet reaped
        sweep(tmp_path)
        assert not folder.exists()


def test_another_machines_folder_and_an_unknown_one_stay_for_a_day(tmp_path):
    other, unknown = tmp_path / f"{'0' * 12}-1-2-0123456789ab", tmp_path / ("f" * 32)
    for path in (other, unknown):
        path.mkdir()
    sweep(tmp_path)
    assert other.exists()
    assert unknown.exists()
    for path in (other, unknown):
        os.utime(path, times=(time.time() - ABANDONED_S - 60,) * 2)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named_with_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIPFORGE_SCRATCH", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"file/work: .*; set LIPFORGE_SCRATCH to a folder"):
        own_folder("work")


def test_a_link_that_another_user_laid_in_tmp_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.delenv("LIPFORGE_SCRATCH", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"lipforge-work-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="belongs to another user; set LIPFORGE_SCRATCH"):
        own_folder("work")
