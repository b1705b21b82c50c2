import errno

import av
import pytest

from pipeline.errors import (
    DamagedCacheError,
    DecodeError,
    OutOfMemoryError,
    StorageError,
    UnreadableError,
)
from pipeline.faults import fault_of, without_secrets


def raised(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        FileNotFoundError(errno.ENOENT, "No such file"),
        ConnectionResetError(),
        TimeoutError(),
        av.FFmpegError(errno.EIO, "Input/output error"),
    ],
    ids=repr,
)
def test_what_the_system_refused_is_unreadable_whatever_a_stage_made_of_it(error):
    assert isinstance(fault_of(error), UnreadableError)
    wrapped = fault_of(raised(DecodeError("the video does not decode"), error))
    assert isinstance(wrapped, UnreadableError)
    assert str(wrapped) == "the video does not decode"


def test_content_that_does_not_decode_and_bugs_are_no_faults_of_the_moment():
    damaged = av.error.InvalidDataError(1094995529, "Invalid data found")
    assert fault_of(raised(DecodeError("broken"), damaged)) is None
    assert fault_of(ZeroDivisionError()) is None
    assert fault_of(ValueError("no number")) is None


def test_a_full_disk_and_too_little_memory_have_names_of_their_own():
    full = raised(DecodeError("x"), OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(fault_of(full), StorageError)
    assert isinstance(fault_of(raised(DecodeError("x"), MemoryError())), OutOfMemoryError)


def test_a_damaged_cache_stays_what_it_is():
    found = fault_of(raised(DecodeError("x"), DamagedCacheError("ab", "c.mp4", "gone")))
    assert isinstance(found, DamagedCacheError)
    assert (found.key, found.name) == ("ab", "c.mp4")


def test_no_query_and_no_password_stays_in_a_text():
    text = "404, url=URL('https://u:p@h.org/a.mp4?sig=s3cret'), see https://h.org/b and a?b"
    assert without_secrets(text) == (
        "404, url=URL('https://h.org/a.mp4?...'), see https://h.org/b and a?b"
    )
