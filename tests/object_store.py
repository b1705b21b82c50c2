"""An S3 endpoint of the tests' own, and a proxy before it that has the faults of a real one.

`Store` is moto's server, a process of its own on the loopback device; it ends with the process that
started it, however that ends. `FaultyProxy` is a thread of this process that any process may talk
to: it passes requests on, and answers those that a `Fault` matches with 503, late, in part or not
at all. Both are reached by the variables of `environment(url)`, which fsspec, boto3 and DVC read.
"""

import http.client
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import fsspec

BUCKET = "lipforge-test"
_SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until the process that holds the other end has ended
"""
_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


def environment(url: str) -> dict[str, str]:
    """Return the variables that lead any S3 client to this endpoint."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Store:
    """moto's server as a process, with one empty bucket: `s3://lipforge-test`."""

    def __init__(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.request("PUT", f"/{BUCKET}")

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Speak to the store past any client: moto asks for no signature."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, body, {"Authorization": "AWS test:test"})
            return connection.getresponse().read()
        finally:
            connection.close()

    def put(self, name: str, body: bytes) -> None:
        """Store one object of the bucket, replaced if it is there."""
        self.request("PUT", f"/{BUCKET}/{name}", body)

    def get(self, name: str) -> bytes:
        """Return the bytes of an object; of one that is not there, moto's error."""
        return self.request("GET", f"/{BUCKET}/{name}")

    def delete(self, name: str) -> None:
        """Remove one object."""
        self.request("DELETE", f"/{BUCKET}/{name}")

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the objects below a prefix, 1000 at most, sorted."""
        answer = self.request("GET", f"/{BUCKET}?list-type=2&prefix={prefix}").decode()
        return sorted(re.findall("<Key>([^<]*)</Key>", answer))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass
class Fault:
    """What happens to the next `times` requests that match.

    `busy`: 503 SlowDown. `late`: passed on after `seconds`. `cut`: the head and half of the body,
    then the connection is closed. `lost`: passed on, so that an upload is stored, but never
    answered: the connection is closed. `silent`: nothing for `seconds`, then closed.
    """

    kind: Literal["busy", "late", "cut", "lost", "silent"]
    times: int = 1_000_000_000
    method: str = ""
    """GET, PUT, HEAD, POST or DELETE; empty: any."""
    path: str = ""
    """A regular expression searched for in path and query."""
    seconds: float = 0.0

    def takes(self, method: str, path: str) -> bool:
        """Say whether a request is one of this fault, and count it."""
        if self.times < 1 or self.method not in ("", method) or not re.search(self.path, path):
            return False
        self.times -= 1
        return True


@dataclass
class FaultyProxy:
    """An HTTP endpoint on the loopback device in front of a store; `with` starts and ends it."""

    target: str
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(method, path with query) of every request, those that failed too."""
    latency_s: float = 0.0
    """Every answer takes at least so long."""

    def __enter__(self) -> Self:
        self.lock = threading.Lock()
        self.http = _Listening(("127.0.0.1", 0), _Handler)
        self.http.proxy = self
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    def counts(self) -> Mapping[str, int]:
        """Return how many requests there were by method."""
        with self.lock:
            return Counter(method for method, _ in self.asked)

    def fault_of(self, method: str, path: str) -> Fault | None:
        """Note a request; return what is to happen to it."""
        with self.lock:
            self.asked.append((method, path))
            return next((one for one in self.faults if one.takes(method, path)), None)


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    proxy: FaultyProxy

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that gives up is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listening

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # GET, PUT and the rest are all passed on
            return self._answer
        raise AttributeError(name)

    def setup(self) -> None:
        super().setup()
        self.store = http.client.HTTPConnection(urlsplit(self.server.proxy.target).netloc)

    def finish(self) -> None:
        self.store.close()
        super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        body = self._body()
        fault = self.server.proxy.fault_of(self.command, self.path)
        kind = fault.kind if fault else ""
        time.sleep(fault.seconds if fault and fault.seconds else self.server.proxy.latency_s)
        if kind == "silent":
            self.close_connection = True
        elif kind == "busy":
            self._send(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
        else:
            self._pass_on(body, kind)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunk(self) -> bytes:
        content = self.rfile.read(int(self.rfile.readline().split(b";")[0], 16))
        self.rfile.readline()
        return content

    def _pass_on(self, body: bytes, kind: str) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        try:
            self.store.request(self.command, self.path, body or None, headers)
            found = self.store.getresponse()
            content = found.read()
        except (OSError, http.client.HTTPException):
            kind = "lost"
        if kind == "lost":
            self.store.close()
            self.close_connection = True
            return
        kept = [(k, v) for k, v in found.getheaders() if k.lower() not in _HOP]
        size = int(found.getheader("Content-Length") or len(content))
        self._send(found.status, kept, content, size, cut=kind == "cut")

    def _send(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        size: int | None = None,
        cut: bool = False,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection |= cut


@contextmanager
def no_client_left() -> Iterator[None]:
    """Let no S3 client of this process outlive the block: fsspec keeps them, with their address."""
    client = fsspec.get_filesystem_class("s3")
    client.clear_instance_cache()
    try:
        yield
    finally:
        client.clear_instance_cache()


def use(monkeypatch: Any, url: str) -> None:
    """Point this process and those it starts at an endpoint."""
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)
