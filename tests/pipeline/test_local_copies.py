"""Copies of remote files on one machine: fetched once, kept while used, bounded in size."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import UnreadableError
from pipeline.local_copies import LocalCopies, open_copies

FETCHING = """
import sys, time
from pathlib import Path
from pipeline.local_copies import LocalCopies

def fetch(part):
    part.write_bytes(b"x" * 10)
    with open(sys.argv[2], "a") as log:
        log.write("fetched\\n")
    time.sleep(float(sys.argv[3]))

with LocalCopies(Path(sys.argv[1]), 1000).held("f/film.mp4", fetch) as path:
    assert path.read_bytes() == b"x" * 10
"""


def fetching(folder: Path, log: Path, seconds: float) -> subprocess.Popen:
    command = [sys.executable, "-c", FETCHING, str(folder), str(log), str(seconds)]
    return subprocess.Popen(command)


def held(copies: LocalCopies, name: str, size: int = 10, known: bool = True):
    def fetch(part: Path) -> None:
        part.write_bytes(b"x" * size)

    return copies.held(f"f/{name}", fetch, size if known else 0)


def used(copies: LocalCopies, *names: str) -> None:
    for name in names:
        with held(copies, name) as path:
            assert path.stat().st_size == 10


def there(copies: LocalCopies) -> set[str]:
    files = (path for path in copies.root.glob("*/*") if path.suffix not in (".lock", ".fetching"))
    return {path.name for path in files}


def unwanted(part: Path) -> None:
    raise AssertionError("fetched again")


def test_processes_and_threads_of_a_machine_fetch_a_copy_once(tmp_path):
    log = tmp_path / "log"
    others = [fetching(tmp_path / "copies", log, 0.3) for _ in range(4)]
    assert [one.wait() for one in others] == [0, 0, 0, 0]
    assert log.read_text() == "fetched\n"
    copies, count = LocalCopies(tmp_path / "copies", 1000), []

    def fetch(part: Path) -> None:
        count.append(1)
        time.sleep(0.1)
        part.write_bytes(b"y")

    def use(_: int) -> bytes:
        with copies.held("f/other", fetch) as path:
            return path.read_bytes()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(use, range(8))) == {b"y"}
    assert len(count) == 1


def test_the_longest_unused_go_first_and_the_size_stays_below_the_limit(tmp_path):
    copies = LocalCopies(tmp_path, 50)
    used(copies, "a", "b", "c", "a", "d")
    assert there(copies) == {"a", "b", "c", "d"}
    used(copies, "e")
    assert there(copies) == {"a", "c", "d", "e"}
    assert len(list(tmp_path.glob("*/*.lock"))) == 4


def test_what_is_in_use_is_never_evicted_though_the_limit_is_passed(tmp_path):
    copies = LocalCopies(tmp_path, 20)
    with held(copies, "a") as a, held(copies, "a"), held(copies, "b") as b:
        used(LocalCopies(tmp_path, 20), "c")
        assert a.exists()
        assert b.exists()
    used(LocalCopies(tmp_path, 20), "d")
    assert "d" in there(copies)
    assert len(there(copies)) == 1


def test_a_copy_of_unknown_size_counts_once_it_is_there(tmp_path):
    copies = LocalCopies(tmp_path, 20)
    for name in "abc":
        with held(copies, name, known=False):
            pass
    used(copies, "d")
    assert there(copies) == {"d"}


def test_a_failed_fetch_leaves_nothing_and_the_next_one_is_made(tmp_path):
    copies = LocalCopies(tmp_path, 100)

    def fail(part: Path) -> None:
        part.write_bytes(b"half")
        raise UnreadableError("cut")

    with pytest.raises(UnreadableError), copies.held("f/a", fail):
        pass
    assert there(copies) == set()
    used(copies, "a")


def test_a_killed_fetch_blocks_nobody_and_its_half_file_is_swept(tmp_path):
    log = tmp_path / "log"
    killed = fetching(tmp_path / "copies", log, 60)
    while not log.exists():
        time.sleep(0.02)
    copies = LocalCopies(tmp_path / "copies", 1000)
    used(copies, "other")
    assert there(copies) == {"film.mp4.part", "other"}, "a running fetch is left alone"
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    used(LocalCopies(tmp_path / "copies", 1000), "third")
    assert there(copies) == {"other", "third"}
    used(copies, "film.mp4")


def test_a_discarded_copy_is_fetched_again(tmp_path):
    copies = LocalCopies(tmp_path, 100)
    used(copies, "a")
    with copies.held("f/a", unwanted):
        pass
    copies.discard("f/a")
    copies.discard("f/a")
    with pytest.raises(AssertionError), copies.held("f/a", unwanted):
        pass


def test_the_folder_and_its_limit_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPFORGE_SCRATCH", str(tmp_path))
    monkeypatch.setenv("LIPFORGE_SCRATCH_GB", "3")
    copies = open_copies()
    assert copies == LocalCopies(tmp_path / "copies", 3 * 10**9)
    assert copies.root.stat().st_mode & 0o077 == 0
    monkeypatch.delenv("LIPFORGE_SCRATCH_GB")
    facts = os.statvfs(tmp_path)
    assert open_copies().limit_bytes == min(20 * 10**9, facts.f_blocks * facts.f_frsize // 2)


def test_a_full_disk_is_emptied_of_other_copies_first(tmp_path):
    copies = LocalCopies(tmp_path, 10**9)
    used(copies, "old")
    room = iter([False, True])

    def full_once(part: Path) -> None:
        if not next(room):
            raise OSError(28, "No space left on device")
        part.write_bytes(b"x" * 10)

    with copies.held("f/new", full_once):
        assert there(copies) == {"new"}


def test_a_full_disk_that_stays_full_is_an_error(tmp_path):
    def full(part: Path) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(OSError, match="No space left"),
        LocalCopies(tmp_path, 10**9).held("f/new", full),
    ):
        pass


def test_a_damaged_copy_is_fetched_again_while_another_process_still_uses_it(tmp_path):
    copies, other = LocalCopies(tmp_path, 100), LocalCopies(tmp_path, 100)
    with held(other, "a") as old:
        copies.discard("f/a")
        used(copies, "a")
        assert old.exists()


def test_an_evicted_folder_is_made_again(tmp_path):
    copies = LocalCopies(tmp_path, 100)
    used(copies, "a")
    copies.evict(0)
    assert list(tmp_path.iterdir()) == []
    used(copies, "a")
