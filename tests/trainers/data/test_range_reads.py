"""Ranges of a file are read exactly, and each way of failing has its own error."""

import fsspec
import pytest

from trainers.data.range_reads import read_bytes, read_indexed
from trainers.errors import ShardNotFoundError, ShardReadError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.tar"
    path.write_bytes(bytes(range(100)))
    return path


def test_a_range_and_a_whole_file_are_read(file):
    assert read_bytes(str(file), 10, 13) == bytes([10, 11, 12])
    assert read_bytes(str(file)) == bytes(range(100))
    assert read_indexed(str(file), 10, 3) == bytes([10, 11, 12])


def test_any_file_system_of_fsspec_will_do(file):
    fsspec.filesystem("memory").pipe_file("/ranges/s.tar", file.read_bytes())
    assert read_indexed("memory://ranges/s.tar", 98, 2) == bytes([98, 99])


def test_a_range_behind_the_end_is_shorter_unless_an_index_lists_it(file):
    assert read_bytes(str(file), 98, 200) == bytes([98, 99])
    with pytest.raises(ShardReadError, match="ends early; it was changed after it was indexed"):
        read_indexed(str(file), 98, 3)


def test_an_absent_file_and_failing_storage_are_different_errors(tmp_path):
    with pytest.raises(ShardNotFoundError, match="cannot be read"):
        read_bytes(str(tmp_path / "absent.tar"))
    with pytest.raises(ShardReadError, match="cannot be read") as refused:
        read_bytes(str(tmp_path))
    assert not isinstance(refused.value, ShardNotFoundError)
    with pytest.raises(ShardReadError, match="cannot be read"):
        read_bytes("nosuchprotocol://x/y.tar")
