"""The item cache: a full disk, damaged entries, two writers of one key."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from pipeline.engine.cache import LocalCache
from tests.chaos.rehearsal import WORKERS, Rehearsal, environment
from tests.chaos.seeds import seeds
from tests.chaos.verdict import harmed

pytestmark = pytest.mark.chaos


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a tmpfs of a size; skip where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def enlarge(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


@pytest.mark.fault("a full disk under the item cache")
@pytest.mark.parametrize("size_kb", [pytest.param(400, marks=pytest.mark.quick), 120, 900, 1500])
def test_a_full_disk_stops_the_run_in_one_line(rehearsal, undisturbed, ends_right, size_kb):
    items = rehearsal.home / ".cache/items"
    with small_disk(items, f"{size_kb}k"):
        ended = rehearsal.run()
        enlarge(items, "64m")
        assert harmed(rehearsal, undisturbed) == []
        assert rehearsal.run().code == 0
        ends_right(rehearsal, in_flight=WORKERS)
    assert ended.code == 1, ended.said
    assert len(ended.lines()) == 1, ended.said
    assert ended.lines()[0].startswith("error: "), ended.said


@pytest.mark.fault("a full disk under the tables")
@pytest.mark.parametrize("size_kb", [pytest.param(8, marks=pytest.mark.quick), 60, 300])
def test_a_full_disk_under_the_tables(rehearsal, undisturbed, ends_right, size_kb):
    data = rehearsal.home / "data"
    with small_disk(data, f"{size_kb}k"):
        ended = rehearsal.run()
        assert harmed(rehearsal, undisturbed) == []
        enlarge(data, "64m")
        assert rehearsal.run().code == 0
        ends_right(rehearsal, in_flight=0)
    assert ended.code == 1, ended.said
    assert len(ended.lines()) == 1, ended.said


def truncate(path: Path, random: Random) -> None:
    os.truncate(path, random.randrange(path.stat().st_size))


def flip_a_bit(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def delete(path: Path, _: Random) -> None:
    path.unlink()


def delete_the_entry(path: Path, _: Random) -> None:
    shutil.rmtree(path.parent)


DAMAGES = {
    "a file of a cached item is truncated": truncate,
    "one bit of a file of a cached item is flipped": flip_a_bit,
    "a file of a cached item is deleted": delete,
    "a cached item is deleted": delete_the_entry,
}


def damages() -> list[object]:
    return [
        pytest.param(
            do, seed, marks=[pytest.mark.fault(words), *([pytest.mark.quick] * (not seed))]
        )
        for words, do in DAMAGES.items()
        for seed in range(4)
    ]


@pytest.mark.parametrize(("damage", "seed"), damages())
def test_damage_in_the_cache_is_found_and_healed(rehearsal, undisturbed, ends_right, damage, seed):
    """Between `draw` and `measure`, or under finished tables: the file is used, and compared."""
    random = Random(seed)
    rehearsal.run(("draw", "bundle")[seed % 2])
    files = sorted(path for path in cached(rehearsal) if path.name != "meta.json")
    used = files if seed % 2 == 0 else [path for path in files if path.name != "picture.bin"]
    damage(random.choice(used), random)
    first = rehearsal.run()
    assert first.code == 0, first.said
    assert len([one for one in first.lines() if "damaged" in one]) <= 4, first.said
    second = rehearsal.run()
    assert second.code == 0, second.said
    ends_right(rehearsal, in_flight=2)  # the damaged item, and who needed its file


@pytest.mark.fault("the record of a cached item (`meta.json`) is truncated or flipped by a bit")
@pytest.mark.parametrize("seed", seeds(4))
def test_a_damaged_record_is_a_miss(rehearsal, ends_right, seed):
    random = Random(seed)
    rehearsal.run()
    records = sorted(path for path in cached(rehearsal) if path.name == "meta.json")
    (truncate, flip_a_bit)[seed % 2](random.choice(records), random)
    ended = rehearsal.run()
    assert ended.code == 0, ended.said
    ends_right(rehearsal, in_flight=1)


def cached(rehearsal: Rehearsal) -> Iterator[Path]:
    return (rehearsal.home / ".cache/items").glob("??/*/*")


WRITER = """
import sys, time
from pathlib import Path
from pipeline.engine.cache import open_cache
from tests.chaos.test_storage import write_keys
write_keys(open_cache(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
"""
KEYS = 200


def write_keys(cache: LocalCache, begin_s: float, keys: int) -> None:
    """Commit the same items as another process that begins at the same moment."""
    while time.time() < begin_s:
        pass
    for number in range(keys):
        with cache.workdir() as folder:
            (folder / "a.bin").write_bytes(bytes([number % 256]) * 5000)
            (folder / "b.bin").write_bytes(bytes([number % 251]) * 3000)
            cache.commit(f"{number:064x}", {"stage": "draw", "number": number}, folder)


@pytest.mark.fault("two writers of one key, 200 keys at the same moment")
@pytest.mark.parametrize("seed", seeds(3))
def test_two_writers_of_one_key_leave_one_whole_entry(tmp_path, record_property, seed):
    root, begin_s = tmp_path / "items", time.time() + 3.0
    command = [sys.executable, "-c", WRITER, str(root), str(begin_s), str(KEYS)]
    writers = [subprocess.Popen(command, env=environment()) for _ in range(2 + seed)]
    codes = [writer.wait() for writer in writers]
    cache = LocalCache(root)
    lost = [number for number in range(KEYS) if not is_whole(cache, number)]
    equal = not lost and not list((root / "tmp").iterdir())
    facts = {"lost": len(lost), "repeated": 0, "in_flight": 0, "equal": equal}
    record_property("verdict", facts)
    assert codes == [0] * len(writers)
    assert lost == []
    assert equal


def is_whole(cache: LocalCache, number: int) -> bool:
    key = f"{number:064x}"
    stored = cache.lookup(key)
    content = cache.artifact_path(key, "a.bin").read_bytes()
    return stored is not None and content == bytes([number % 256]) * 5000
