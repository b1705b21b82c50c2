"""Files behind fsspec URLs: looked up and fetched patiently, named without their signatures.

Whatever a file system's client raises, the caller sees an UnreadableError (or a StorageError where
this machine's disk is full): a link that is down is the fault of one item, and of this moment.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import fsspec

from pipeline.digest import digest
from pipeline.errors import StorageError, UnreadableError
from pipeline.faults import Caught, causes, fault_of, words

Answer = TypeVar("Answer")

HTTP, S3 = ("http://", "https://"), ("s3://", "s3a://")
FETCH_ATTEMPTS, LOOKUP_ATTEMPTS = 4, 2
FIRST_WAIT_S = 0.5
"""Waits between attempts: 0.5, 1, 2 s and so on, less up to a half by chance."""
CONNECT_S, SILENCE_S = 15.0, 60.0
"""A server that does not answer, or sends nothing, for so long is given up. A slow one is not."""
STORE_SILENCE_S = 20.0
"""The same for one request to an object store that holds results, which is asked more often."""
CONNECTIONS = 128
"""To an object store, from each process."""
EXTRAS = {"s3": "s3", "s3a": "s3"}
"""Extra of this package that brings the client of a scheme."""
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})
"""Client errors of HTTP that pass; every other 4xx says the same the next second."""
_FINAL = (FileNotFoundError, PermissionError, ImportError, ValueError)
_OF_A_LISTING = frozenset({"name", "url", "type", "mimetype", "partial"})
"""Facts of a file system's answer that do not change with the content, or hold the address."""
_VALIDATORS = frozenset(
    {"content-md5", "content_md5", "digest", "etag", "generation", "last-modified", "last_modified"}
    | {"lastmodified", "md5hash", "modified", "mtime", "versionid"}
)
"""Facts of a listing, in small letters, that change when the content does."""
_SIGNING = frozenset(
    {"access_token", "auth", "authorization", "awsaccesskeyid", "exp", "expires", "expiry"}
    | {"googleaccessid", "hdnea", "hdnts", "key-pair-id", "ossaccesskeyid", "policy", "se", "sig"}
    | {"signature", "sip", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr", "srt"}
    | {"st", "sv", "token", "ttl"}
)
_SIGNING_PREFIXES = ("q-", "x-amz-", "x-cos-", "x-goog-", "x-obs-", "x-oss-")
"""Names of query fields that say who may read a file, and until when: not which file it is."""


def public_url(url: str) -> str:
    """Return the address without password and query: what may stand in tables and messages.

    Fields of the query that name the content stand as `?sha256=` and 12 hex digits, so that two
    files of one address stay two. A link that is signed anew keeps its name.
    """
    return "::".join(_public(part) for part in url.split("::"))


def fetch(url: str, path: Path) -> None:
    """Copy a remote file to `path`.

    Raises:
        UnreadableError: the server refuses, cannot be reached, or sends another number of bytes
            than it said, on each of four attempts within a few seconds.
        StorageError: this machine's disk is full or not writable.
    """

    def once() -> None:
        fs, name = file_system(url)
        fs.get_file(name, str(path))
        if not url.startswith(HTTP):  # whose client compares with Content-Length itself
            said = fs.info(name).get("size")
            if said is not None and said != path.stat().st_size:
                raise ConnectionError(f"{path.stat().st_size} of {said} bytes")

    patiently(once, "cannot be fetched", FETCH_ATTEMPTS)


def facts_of(url: str) -> list[Any]:
    """Return what changes with the remote file: its public address and its server's metadata.

    Raises:
        UnreadableError: the server refuses or cannot be reached, twice.
    """

    def once() -> list[Any]:
        fs, name = file_system(url)
        return [public_url(url), _content_facts(fs.info(name))]

    return patiently(once, "cannot be looked up", LOOKUP_ATTEMPTS)


def version_of(url: str) -> tuple[str, int]:
    """Return a name of the remote file's content, empty if the server has none, and its size.

    The server is asked anew, whatever was listed before. A size that it does not say is 0.

    Raises:
        UnreadableError: the server refuses or cannot be reached, on each of four attempts.
    """

    def once() -> tuple[str, int]:
        fs, name = file_system(url)
        facts = fs.info(name, refresh=True) if url.startswith(S3) else fs.info(name)
        known = any(key.lower() in _VALIDATORS and value for key, value in facts.items())
        version = digest([public_url(url), _content_facts(facts)]) if known else ""
        return version, int(facts.get("size") or 0)

    return patiently(once, "cannot be looked up", FETCH_ATTEMPTS)


def file_system(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the name of the file on it.

    Time-outs are set, and the attempts are left to `until_answered`: those of an S3 client and of
    the client below it would be multiplied.
    """
    options: dict[str, Any] = _s3_options() if url.startswith(S3) else {}
    if url.startswith(HTTP):
        import aiohttp  # half a second, and only here needed

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        options = {"client_kwargs": {"timeout": timeout}}
    with _named_extra(url):
        found: tuple[Any, str] = fsspec.core.url_to_fs(url, **options)
    if url.startswith(S3):
        found[0].retries = 1
    return found


def make_parents(url: str, fs: Any, path: str) -> None:
    """Make the folders above a file, where there are folders: on S3 that would make a bucket."""
    if not url.startswith(S3):
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)


def object_store(url: str) -> tuple[Any, str]:
    """Return the fsspec file system for results, and the path of the address on it.

    An S3 client of its own: one attempt per request, since `until_answered` repeats them, and no
    memory of listings, which other machines change.

    Raises:
        ImportError: its client is not installed; says what to install.
        ValueError: no such scheme.
    """
    options: dict[str, Any] = {}
    if url.startswith(S3):
        config = {
            "connect_timeout": CONNECT_S,
            "read_timeout": STORE_SILENCE_S,
            "max_pool_connections": CONNECTIONS,
            "retries": {"total_max_attempts": 1},
        }
        options = {"config_kwargs": config, "max_concurrency": 1, "use_listings_cache": False}
        options["session"] = _s3_session()
    with _named_extra(url):
        fs, path = fsspec.core.url_to_fs(url, **options)
    if options:
        fs.retries = 1
    return fs, str(path)


def until_answered(call: Callable[[], Answer], attempts: int) -> Answer:
    """Return what the call returns; after a fault that may pass, wait and call again.

    Raises:
        Exception: that of the last attempt, or the first that is final.
    """
    for left in reversed(range(attempts)):
        with Caught() as caught:
            return call()
        error = caught.error
        assert error is not None, "the call returned or raised"
        if not left or is_final(error):
            raise error
        longest = FIRST_WAIT_S * 2 ** (attempts - 1 - left)
        time.sleep(longest * random.uniform(0.5, 1.0))
    raise AssertionError("at least one attempt")


def patiently(call: Callable[[], Answer], doing: str, attempts: int) -> Answer:
    """Do as `until_answered` for a file that is the input of an item.

    Raises:
        UnreadableError: the fault is final, or was there at every attempt.
        StorageError: this machine's disk is full or not writable.
    """
    with Caught() as caught:
        return until_answered(call, attempts)
    error = caught.error
    assert error is not None, "the call returned or raised"
    if isinstance(fault := fault_of(error), StorageError):
        raise fault from error
    raise UnreadableError(f"{doing}: {answer(error)}") from error


def _s3_options() -> dict[str, Any]:
    """Return what s3fs is made with; what the user's fsspec configuration says comes first."""
    ours = {
        "connect_timeout": CONNECT_S,
        "read_timeout": SILENCE_S,
        "retries": {"total_max_attempts": 1},
    }
    return {"config_kwargs": {**ours, **fsspec.config.conf.get("s3", {}).get("config_kwargs", {})}}


def _content_facts(facts: Mapping[str, Any]) -> str:
    return str(sorted((k, v) for k, v in facts.items() if k not in _OF_A_LISTING))


@contextmanager
def _named_extra(url: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        extra = EXTRAS.get(urlsplit(url).scheme)
        fix = f": pip install 'lipforge[{extra}]'" if extra else ""
        raise ImportError(f"{error}{fix}") from error


@cache
def _s3_session() -> Any:
    """Return a session that leaves times as text: they are three quarters of a listing's cost."""
    with _named_extra("s3://"):
        import aiobotocore.session  # of an extra
    session = aiobotocore.session.AioSession()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    return session


def _public(url: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    if parts.scheme not in ("http", "https"):
        return url.replace(f"//{parts.netloc}", f"//{place}", 1)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    naming = sorted([name, value] for name, value in fields if not _signs(name.lower()))
    query = f"sha256={digest(naming)[:12]}" if naming else ""
    return urlunsplit((parts.scheme, place, parts.path, query, ""))


def _signs(name: str) -> bool:
    return name in _SIGNING or name.startswith(_SIGNING_PREFIXES)


def is_final(error: BaseException) -> bool:
    """Say whether a fault is no matter of the moment."""
    if isinstance(fault_of(error), StorageError):
        return True
    if status := _status(error):
        return 400 <= status < 500 and status not in _WORTH_ANOTHER_TRY
    return isinstance(error, _FINAL)


def answer(error: BaseException) -> str:
    """Return what a server or its client said, without paths, hosts and addresses."""
    if status := _status(error):
        return f"HTTP {status}"
    if isinstance(error, ImportError | ValueError):
        return str(error)  # fsspec says which package to install, or that it knows no such scheme
    return words(error)


def _status(error: BaseException) -> int | None:
    found = (_status_of(one) for one in causes(error))
    return next((status for status in found if isinstance(status, int)), None)


def _status_of(error: BaseException) -> object:
    """Return the HTTP status that an aiohttp or a botocore exception holds."""
    said = getattr(error, "response", None)
    if isinstance(said, Mapping):
        return said.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return getattr(error, "status", None)
