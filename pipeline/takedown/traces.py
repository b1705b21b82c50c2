"""Whether bytes hold a trace of a film: an id of it or of its clips, or a file made of it."""

import hashlib
import re
import tarfile
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.takedown.target import Target

DIGITS = 12
"""Of an id or digest that are compared: reports and cards abbreviate to so many."""
WORD = re.compile(rb"[0-9a-f]{12,}")
GONE = b"(taken down)"
"""In the place of an id."""
CHUNK = 2**22
OVERLAP = 128


@dataclass(frozen=True, slots=True)
class Traces:
    """What is searched for."""

    names: frozenset[bytes]
    """First digits of the ids of films and clips, and of the digests of all files made of them."""
    digests: frozenset[str]
    """SHA-256 of the films and of all files made of them."""

    @classmethod
    def of(cls, target: Target, digests: frozenset[str]) -> "Traces":
        """Return the traces of films and of files."""
        all_digests = digests | target.video_ids
        names = {one[:DIGITS].encode() for one in all_digests | target.clip_ids}
        return cls(frozenset(names), all_digests)

    def in_bytes(self, content: bytes) -> bool:
        """Return whether an id or a digest is named."""
        return any(word[:DIGITS] in self.names for word in WORD.findall(content))

    def taken_out(self, text: str) -> str:
        """Return a text with other words in the place of the ids and digests that it names."""

        def instead(word: re.Match[bytes]) -> bytes:
            return GONE if self.in_bytes(word[0]) else word[0]

        return WORD.sub(instead, text.encode()).decode()

    def in_name(self, name: str) -> bool:
        """Return whether a file's name has an id."""
        return self.in_bytes(name.encode(errors="surrogateescape"))

    def in_file(self, path: Path) -> bool:
        """Return whether a file names an id, or is, or has as a member of a tar, a file of them."""
        with path.open("rb") as stream:
            head = stream.read(4)
        if head == b"PAR1":
            return self._in_table(path)
        return self._in_stream(path) or self._in_members(path)

    def _in_stream(self, path: Path) -> bool:
        sha256, before = hashlib.sha256(), b""
        with path.open("rb") as stream:
            while block := stream.read(CHUNK):
                sha256.update(block)
                if self.in_bytes(before + block):
                    return True
                before = block[-OVERLAP:]
        return sha256.hexdigest() in self.digests

    def _in_members(self, path: Path) -> bool:
        if not tarfile.is_tarfile(path):
            return False
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if not isinstance(content, BufferedReader):  # None: a folder or a link
                    continue
                if hashlib.file_digest(content, "sha256").hexdigest() in self.digests:
                    return True
        return False

    def _in_table(self, path: Path) -> bool:
        for batch in pq.ParquetFile(path).iter_batches(4096):
            for column in batch.columns:
                if pa.types.is_string(column.type) and self._in_texts(column.to_pylist()):
                    return True
        return False

    def _in_texts(self, texts: list[Any]) -> bool:
        return self.in_bytes("\n".join(one for one in texts if one).encode())
