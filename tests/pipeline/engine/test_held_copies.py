"""Copies of a remote cache: an entry in use is kept as a whole, and the last 128 besides."""

import subprocess
import sys
from pathlib import Path

from pipeline.engine.held_copies import HELD_OUTSIDE, HeldCopies
from pipeline.local_copies import LocalCopies

SIZE = 10


def write(part: Path) -> None:
    part.write_bytes(b"x" * SIZE)


def opened(folder: Path, limit: int = 10**9) -> HeldCopies:
    return HeldCopies(LocalCopies(folder, limit), "cache")


def present(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.rglob("a")}


def test_what_a_block_has_used_stays_until_its_end_though_the_bound_is_passed(tmp_path):
    held, other = opened(tmp_path, 3 * SIZE), opened(tmp_path, 3 * SIZE)
    with other.holding():
        other.use("held", "a", write)
        with held.holding():
            for key in "bcdefg":
                held.use(key, "a", write)
            assert present(tmp_path) == {"held", *"bcdefg"}
        held.copies.evict(0)
        assert present(tmp_path) == {"held"}
    held.copies.evict(0)
    assert present(tmp_path) == set()


def test_a_block_does_not_let_go_what_was_held_before_it(tmp_path):
    held = opened(tmp_path)
    held.use("old", "a", write)
    with held.holding():
        held.use("old", "a", write)
    held.copies.evict(0)
    assert present(tmp_path) == {"old"}


def test_outside_of_blocks_the_last_entries_are_held(tmp_path):
    held = opened(tmp_path)
    for number in range(HELD_OUTSIDE + 2):
        held.use(f"k{number}", "a", write)
    held.copies.evict(0)
    assert present(tmp_path) == {f"k{number}" for number in range(2, HELD_OUTSIDE + 2)}


def test_a_dropped_entry_is_gone_and_its_files_are_fetched_again(tmp_path):
    held = opened(tmp_path)
    held.use("k", "a", write)
    held.drop("k")
    assert present(tmp_path) == set()
    held.use("k", "a", write)
    assert held.place("k", "a").read_bytes() == b"x" * SIZE


def test_a_killed_user_holds_nothing(tmp_path):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from pipeline.engine.held_copies import HeldCopies\n"
        "from pipeline.local_copies import LocalCopies\n"
        "held = HeldCopies(LocalCopies(Path(sys.argv[1]), 9), 'cache')\n"
        "held.use('k', 'a', lambda part: part.write_text('x'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    assert present(tmp_path) == {"k"}
    LocalCopies(tmp_path, 9).evict(0)
    assert present(tmp_path) == set()
