"""Which faults are of the moment, decided in one place for all stages.

A stage may wrap what the system or the network said into an error of its own (a decoder takes an
unplugged disk for a broken stream): the whole chain of causes is looked at.
"""

import errno
import re
from collections.abc import Iterator
from types import TracebackType

from pipeline.errors import (
    DISK_ERRORS,
    LipforgeError,
    MediaError,
    OutOfMemoryError,
    StorageError,
    TransientError,
    UnreadableError,
)

SYSTEM_ERRORS = frozenset(
    {
        errno.EACCES,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EIO,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOENT,
        errno.ENOTCONN,
        errno.ENOTDIR,
        errno.EREMOTEIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""What the system says when it does not give a file's bytes: says nothing about the content."""
_CLIENTS = frozenset(
    {
        "adlfs",
        "aiobotocore",
        "aiohttp",
        "azure",
        "botocore",
        "gcsfs",
        "google",
        "http",
        "requests",
        "s3fs",
        "urllib3",
    }
)
"""Packages behind fsspec whose exceptions are all about the network or the server's answer."""
_QUERY = re.compile(r"(https?://)(?:[^\s/?#@'\"]*@)?([^\s?#'\")>]*)(\?[^\s'\")>]*)?")


class Caught:
    """Context manager that keeps the exception of its block in `error` and goes on behind it.

    One item must never end the others, whatever library raised whatever. Ctrl-C passes.
    """

    def __init__(self) -> None:
        self.error: Exception | SystemExit | None = None

    def __enter__(self) -> "Caught":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception | SystemExit):
            return False
        self.error = error
        return True


def fault_of(error: BaseException) -> TransientError | StorageError | None:
    """Return the fault of the moment behind an exception; None: the input's fault, or a bug.

    A StorageError means that results cannot be stored, which is the fault of no input.
    """
    chain = list(causes(error))
    for one in chain:
        if isinstance(one, TransientError | StorageError):
            return one
    for one in chain:
        if getattr(one, "errno", None) in DISK_ERRORS:
            return StorageError(f"cannot store a result: {words(one)}")
        if isinstance(one, MemoryError):
            return OutOfMemoryError("not enough memory for this item")
        if _is_refusal(one):
            said = str(error) if isinstance(error, MediaError) else words(one)
            return UnreadableError(said)
    return None


def without_secrets(text: str) -> str:
    """Return text with the query and the password of every http URL in it left out."""
    return _QUERY.sub(lambda m: f"{m[1]}{m[2]}{'?...' if m[3] else ''}", text)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception, its cause, the cause of that, and so on."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def words(error: BaseException) -> str:
    """Return the kind of fault, without paths, hosts and addresses."""
    status, said = getattr(error, "status", None), getattr(error, "strerror", None)
    name = type(error).__name__
    return f"HTTP {status}" if isinstance(status, int) else f"{name}: {said}" if said else name


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, LipforgeError):
        return False
    by_client = type(error).__module__.partition(".")[0] in _CLIENTS
    refused = getattr(error, "errno", None) in SYSTEM_ERRORS
    return by_client or refused or isinstance(error, TimeoutError | ConnectionError)
