"""Where Ray starts: another folder where its own choice would fail, or one line with the fix."""

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from pipeline.engine import ray_folder as places
from pipeline.engine.ray_folder import INSIDE, LONGEST_SOCKET, ray_folder
from pipeline.errors import ClusterError

MOST = LONGEST_SOCKET - INSIDE


def of_length(parent, length):
    path = parent / ("x" * (length - len(str(parent)) - 1))
    assert len(str(path)) == length
    return path


@pytest.fixture
def short():
    """A folder whose name leaves room for a socket's, which pytest's own does not."""
    with tempfile.TemporaryDirectory(prefix="lf", dir="/tmp") as folder:
        yield Path(folder)


def test_a_name_too_long_for_a_socket_or_not_a_folder_is_passed_over(short):
    fits, too_long = of_length(short, MOST), of_length(short, MOST + 1)
    candidates = [too_long, Path("/proc/nothing"), fits]
    assert ray_folder(0, candidates) == fits
    assert not too_long.exists()


def test_where_none_will_do_one_line_says_why_and_what_to_set(short, monkeypatch):
    monkeypatch.setattr(places, "free_bytes", lambda _: 3 * 2**20)
    candidates = [of_length(short, MOST + 7), Path("/proc/nothing"), short]
    with pytest.raises(ClusterError) as error:
        ray_folder(128 * 2**20, candidates)
    text = str(error.value)
    assert "is 7 characters too long for a Unix socket; /proc/nothing cannot be used: " in text
    assert re.search(rf"{short} has 3 MiB free; set RAY_TMPDIR .* at most {MOST} .* 192 MiB", text)
    assert "\n" not in text


def test_tmpdir_is_the_first_choice_and_ray_tmpdir_before_it(monkeypatch, short):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(short))
    assert ray_folder(0) == short / "ray"
    monkeypatch.setenv("RAY_TMPDIR", str(short / "r"))
    assert ray_folder(0) == short / "r"


@pytest.mark.slow
def test_a_full_disk_is_passed_over(tmp_path):
    """On a real tmpfs of 8 MB, where the system lets us mount one."""
    disk = tmp_path / "d"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount")
    try:
        candidates = [disk, Path("/tmp")]
        assert ray_folder(0, candidates) == candidates[1]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
