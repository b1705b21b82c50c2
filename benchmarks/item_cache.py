"""How long a stage with nothing to do looks up its items on an object store that takes 20 ms.

    python -m benchmarks.item_cache --items 100000

The store is a process of its own on the loopback device that answers listings, GETs and PUTs as S3
does, each after 20 ms; it makes up the entries, five objects each, when they are asked for. The
client is the real one (s3fs). Printed: seconds and CPU seconds of the client, of the
first look-up, which reads each meta.json, and of the second, which finds them in packs.
"""

import argparse
import asyncio
import bisect
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.digest import canonical_json, digest
from pipeline.engine.remote_cache import RemoteCache
from pipeline.local_copies import LocalCopies
from tests.object_store import environment as leading_to

ROW = {f"value_{number:02}": number / 7 for number in range(24)}
FILES = {f"clip.{suffix}": {"bytes": 9, "sha256": "0" * 64} for suffix in ("mp4", "npz", "flac")}
FILES["clip.json"] = {"bytes": 9, "sha256": "1" * 64}
CONTENT = {
    "stage": "faces",
    "status": "kept",
    "parts": [{"status": "kept", "reason": "", "detail": "", "row": ROW}],
    "files": FILES,
}


class Store:
    """Objects of `count` entries below `items/`, made when asked for; what is PUT is kept."""

    def __init__(self, count: int, latency_s: float) -> None:
        self.latency_s = latency_s
        self.keys = keys(count)
        self.kept: dict[str, bytes] = {}
        meta = canonical_json({**CONTENT, "sha256": digest(CONTENT)})
        self.meta = meta.encode()
        self.sizes = {**dict.fromkeys(FILES, 9), "meta.json": len(self.meta)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
                if "expect" in fields:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                await asyncio.sleep(self.latency_s)
                method, target, _ = head.split(" ", 2)
                status, answer = self.answer(method, target, body)
                start = f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n"
                writer.write(start.encode() + b'ETag: "e"\r\n\r\n' + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body."""
        url = urlsplit(target)
        name = unquote(url.path).removeprefix("/bucket/")
        if method == "PUT":
            self.kept[name] = body
            return 200, b""
        if "list-type" in url.query:
            asked = {field: value[0] for field, value in parse_qs(url.query).items()}
            return 200, self.listing(asked["prefix"], asked.get("start-after", "")).encode()
        if name.endswith("/meta.json"):
            return 200, self.meta
        found = self.kept.get(name)
        return (200, found) if found is not None else (404, _NO_SUCH_KEY)

    def listing(self, prefix: str, after: str) -> str:
        """Return one page of at most 1000 objects."""
        first = bisect.bisect_left(self.keys, after.removeprefix("items/").split("/", 1)[-1][:64])
        names: list[tuple[str, int]] = []
        for key in self.keys[first : first + 1000]:
            entry = [(f"items/{key[:2]}/{key}/{n}", size) for n, size in sorted(self.sizes.items())]
            fitting = [one for one in entry if one[0].startswith(prefix) and one[0] > after]
            names += fitting
            if len(names) > 1000 or (not fitting and names):
                break
        objects = "".join(_object(name, size) for name, size in names[:1000])
        cut = str(len(names) > 1000).lower()
        return (
            f"{_XML}<ListBucketResult><IsTruncated>{cut}</IsTruncated>{objects}</ListBucketResult>"
        )


_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_NO_SUCH_KEY = f"{_XML}<Error><Code>NoSuchKey</Code><Message>no</Message></Error>".encode()


def _object(name: str, size: int) -> str:
    return (
        f"<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;e&quot;</ETag><Size>{size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def keys(count: int) -> list[str]:
    """Return the keys of the made-up entries, sorted."""
    return sorted(digest(number) for number in range(count))


async def listen(count: int, latency_s: float) -> None:
    """Serve until killed; print the port first."""
    store = Store(count, latency_s)
    server = await asyncio.start_server(store.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def measure(cache: RemoteCache, wanted: list[str]) -> str:
    """Look all items up; return what it took."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    found = cache.lookup_many("faces", wanted)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert set(found) == set(wanted), f"{len(found)} of {len(wanted)} found"
    return f"{len(found)} items in {took:.1f} s, {cpu:.1f} s CPU, peak {after.ru_maxrss >> 10} MiB"


def main() -> None:
    """Start the store and look everything up, twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--serve", action="store_true")
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(listen(chosen.items, chosen.latency_ms / 1e3))
        return
    command = [sys.executable, "-m", "benchmarks.item_cache", "--serve"]
    command += ["--items", str(chosen.items), "--latency-ms", str(chosen.latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as store:
        assert store.stdout is not None
        os.environ.update(leading_to(f"http://127.0.0.1:{int(store.stdout.readline())}"))
        with tempfile.TemporaryDirectory() as folder:
            cache = RemoteCache("s3://bucket/items", LocalCopies(Path(folder), 10**9))
            print("without packs:", measure(cache, keys(chosen.items)))
            print("with packs:   ", measure(cache, keys(chosen.items)))
        store.kill()


if __name__ == "__main__":
    main()
