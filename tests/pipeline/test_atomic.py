import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.atomic import (
    copy_file,
    replacing,
    replacing_folder,
    whole_file,
    write_bytes,
    write_text,
)
from pipeline.errors import StorageError


def half_way(path: Path) -> None:
    with replacing(path) as part:
        part.write_text("half", encoding="utf-8")
        raise ZeroDivisionError


def test_a_block_that_fails_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError):
        half_way(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "y")


def test_two_writers_of_one_file_do_not_disturb_one_another(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as one, replacing(path) as two:
        assert one != two
        one.write_text("one", encoding="utf-8")
        two.write_text("two, longer", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "one"  # the last to end
    assert list(tmp_path.iterdir()) == [path]


def test_many_threads_that_write_one_file_leave_one_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    contents = [f"{number}" * 10_000 for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: write_text(path, text), contents))
    assert path.read_text(encoding="utf-8") in contents
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_goes_a_day_later(tmp_path: Path) -> None:
    path, other = tmp_path / "a.txt", tmp_path / "b.txt"
    old, young, foreign = (
        folder.with_name(f"{folder.name}.{token * 12}.part")
        for folder, token in ((path, "0"), (path, "1"), (other, "2"))
    )
    for part in (old, young, foreign):
        part.write_text("half", encoding="utf-8")
    for part in (old, foreign):
        os.utime(part, (0, 0))
    write_text(path, "whole")
    assert sorted(tmp_path.iterdir()) == [path, young, foreign]


def test_the_longest_name_that_a_file_may_have_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_copy_that_cannot_be_read_keeps_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), whole_file(tmp_path / "a"):
        raise ConnectionResetError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_listed_at_the_first_write_and_not_at_every_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a.txt", "first")
    monkeypatch.setattr(Path, "glob", lambda *_: pytest.fail("listed again"))
    write_text(tmp_path / "b.txt", "second")
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "second"


def test_a_copy_has_the_bytes_and_a_new_file_s_mode(tmp_path: Path) -> None:
    source, copy = tmp_path / "a", tmp_path / "in" / "b"
    source.write_bytes(b"weights")
    source.chmod(0o600)
    copy_file(source, copy)
    write_bytes(tmp_path / "c", b"x")
    assert copy.read_bytes() == b"weights"
    assert copy.stat().st_mode == (tmp_path / "c").stat().st_mode
    with pytest.raises(StorageError, match="cannot be written"):
        copy_file(tmp_path / "absent", copy)
    assert copy.read_bytes() == b"weights"


def write_folder(path: Path, *names: str, fail: bool = False) -> None:
    with replacing_folder(path) as part:
        for name in names:
            (part / name).write_text(name, encoding="utf-8")
        if fail:
            raise ZeroDivisionError


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    write_folder(path, "a", "b")
    with pytest.raises(ZeroDivisionError):
        write_folder(path, "c", fail=True)
    assert sorted(one.name for one in path.iterdir()) == ["a", "b"]
    write_folder(path, "d")
    assert [one.name for one in path.iterdir()] == ["d"]
    (tmp_path / "samples.part").mkdir()
    (tmp_path / "samples.part" / "of a killed run").touch()
    write_folder(path, "e")
    assert [one.name for one in path.iterdir()] == ["e"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_put_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "samples"
    write_folder(path, "a")
    rename = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "samples.part":
            raise PermissionError(13, "not allowed")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match="cannot be written"):
        write_folder(path, "b")
    assert [one.name for one in path.iterdir()] == ["a"]
