"""Files behind fsspec URLs: looked up and fetched patiently, named without their signatures.

Whatever a file system's client raises, the caller sees an UnreadableError (or a StorageError where
this machine's disk is full): a link that is down is the fault of one item, and of this moment.
"""

import random
import time
from collections.abc import Callable, Mapping
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
"""Waits between attempts: 0.5, 1 and 2 s, each of them up to half longer: clients that were refused
together do not come back together."""
CONNECT_S, SILENCE_S = 15.0, 60.0
"""A server that does not answer, or sends nothing, for so long is given up. A slow one is not."""
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

    Time-outs are set, and the attempts are left to `patiently`: those of an S3 client and of the
    client below it would be multiplied.
    """
    options: dict[str, Any] = _s3_options() if url.startswith(S3) else {}
    if url.startswith(HTTP):
        import aiohttp  # half a second, and only here needed

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        options = {"client_kwargs": {"timeout": timeout}}
    found: tuple[Any, str] = fsspec.core.url_to_fs(url, **options)
    if url.startswith(S3):
        found[0].retries = 1
    return found


def patiently(call: Callable[[], Answer], doing: str, attempts: int) -> Answer:
    """Return what the call returns; after a fault that may pass, wait and call again.

    Raises:
        UnreadableError: the fault is final, or was there at every attempt.
        StorageError: this machine's disk is full or not writable.
    """
    for left in reversed(range(attempts)):
        with Caught() as caught:
            return call()
        error = caught.error
        assert error is not None, "the call returned or raised"
        if isinstance(fault := fault_of(error), StorageError):
            raise fault from error
        if not left or _is_final(error):
            raise UnreadableError(f"{doing}: {_answer(error)}") from error
        time.sleep(FIRST_WAIT_S * 2 ** (attempts - 1 - left) * random.uniform(1, 1.5))
    raise AssertionError("at least one attempt")


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


def _is_final(error: BaseException) -> bool:
    if status := _status(error):
        return 400 <= status < 500 and status not in _WORTH_ANOTHER_TRY
    return isinstance(error, _FINAL)


def _status(error: BaseException) -> int | None:
    for one in causes(error):
        answer = getattr(one, "response", None)  # of botocore's ClientError
        said = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
        status = getattr(one, "status", None) or said.get("HTTPStatusCode")
        if isinstance(status, int):
            return status
    return None


def _answer(error: BaseException) -> str:
    if status := _status(error):
        return f"HTTP {status}"
    if isinstance(error, ImportError | ValueError):
        return str(error)  # fsspec says which package to install, or that it knows no such scheme
    return words(error)
