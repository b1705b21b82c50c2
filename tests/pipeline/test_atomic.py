from pathlib import Path

import pytest

from pipeline.atomic import replacing, write_text
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
