"""Where tars lie: in a folder beside their table, or at $LIPFORGE_SHARDS, a folder or a URL.

There each tar has a seal, `.seals/<name>.json`: size and SHA-256 of what was verified, and the
state of the file then (its ETag, say). A tar in the state of its seal is known without being read.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import remove_unfinished, write_bytes
from pipeline.digest import canonical_json, digest, file_sha256
from pipeline.errors import UnreadableError
from pipeline.params.environment import environment
from pipeline.remote import (
    FETCH_ATTEMPTS,
    file_system,
    make_parents,
    patiently,
    public_url,
    version_of,
)

SEALS = ".seals"
CHUNK = 2**22


@dataclass(frozen=True, slots=True)
class TarPlace:
    """A folder of tars, `<split>/<name>.tar`."""

    root: str
    sealed: bool
    """False for a folder that DVC tracks, where nothing but tars may lie: they are read instead."""

    @property
    def remote(self) -> bool:
        """Whether it is behind a URL."""
        return "://" in self.root

    def url(self, name: str) -> str:
        """Return the path or the URL of a tar."""
        return f"{self.root}/{name}"

    def has(self, name: str, sha256: str, num_bytes: int) -> bool:
        """Return whether the tar is there with these bytes."""
        seal = self._seal(name) if self.sealed else {}
        if seal.get("state"):
            wanted = {"sha256": sha256, "bytes": num_bytes, "state": self._state(name)}
            return seal == wanted
        try:
            return self._read_sha256(name) == sha256
        except (FileNotFoundError, UnreadableError):
            return False

    def write(self, name: str, folder: Path, make: Callable[[Path], None]) -> tuple[str, int]:
        """Put a tar there, at once; return its SHA-256 and its size in bytes.

        Args:
            folder: scratch on this machine, for what is to be uploaded.
            make: writes the tar to the path that it is given.

        Raises:
            UnreadableError: the store refuses, or does not give back what was uploaded.
            StorageError: the disk is full or not writable.
        """
        if not self.remote:
            make(Path(self.url(name)))
            sha256 = file_sha256(Path(self.url(name)))
            num_bytes = Path(self.url(name)).stat().st_size
        else:
            local = folder / "upload.tar"
            make(local)
            sha256, num_bytes = file_sha256(local), local.stat().st_size
            self._upload(local, name, sha256)
        if self.sealed:
            self._write_seal(name, sha256, num_bytes)
        return sha256, num_bytes

    def absent(self, names: Iterable[str]) -> list[str]:
        """Return the tars that are not there, by one listing; their bytes are not compared."""
        if self.sealed:
            return sorted({*names} - self._sealed_names())
        return sorted(name for name in names if not (Path(self.root) / name).is_file())

    def remove_others(self, names: Collection[str]) -> None:
        """Remove the tars of an earlier run. In a sealed place only those that have a seal.

        And what killed processes left of files that they were writing.
        """
        if not self.sealed:
            remove_unfinished(Path(self.root))
            for old in Path(self.root).glob("*/*.tar"):
                if old.relative_to(self.root).as_posix() not in names:
                    old.unlink()
            return
        for name in self._sealed_names() - set(names):
            self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a tar, and its seal."""
        if self.sealed:
            self._remove(f"{SEALS}/{name}.json")
        self._remove(name)

    def _upload(self, local: Path, name: str, sha256: str) -> None:
        def once() -> None:
            fs, path = file_system(self.url(name))
            make_parents(self.root, fs, path)
            fs.put_file(str(local), path)
            fs.invalidate_cache(path)
            if self._remote_sha256(name) != sha256:
                raise ConnectionError("it does not give back what was uploaded")

        patiently(once, f"{public_url(self.url(name))}: cannot be uploaded", FETCH_ATTEMPTS)

    def _read_sha256(self, name: str) -> str:
        if not self.remote:
            return file_sha256(Path(self.url(name)))
        return patiently(lambda: self._remote_sha256(name), "cannot be read", FETCH_ATTEMPTS)

    def _remote_sha256(self, name: str) -> str:
        fs, path = file_system(self.url(name))
        found = hashlib.sha256()
        with fs.open(path, "rb", cache_type="none", block_size=CHUNK) as stream:
            while block := stream.read(CHUNK):
                found.update(block)
        return found.hexdigest()

    def _state(self, name: str) -> str:
        """Return what tells whether a tar was changed; empty if it is not there."""
        try:
            if self.remote:
                return version_of(self.url(name))[0]
            facts = Path(self.url(name)).stat()
        except (FileNotFoundError, UnreadableError):
            return ""
        return digest([facts.st_size, facts.st_mtime_ns, facts.st_ino])

    def _seal(self, name: str) -> Mapping[str, Any]:
        where = self.url(f"{SEALS}/{name}.json")
        try:
            if self.remote:
                fs, path = file_system(where)
                text = patiently(lambda: fs.cat_file(path), "cannot be read", FETCH_ATTEMPTS)
            else:
                text = Path(where).read_bytes()
            seal = json.loads(text)
        except (FileNotFoundError, UnreadableError, ValueError):
            return {}
        return seal if isinstance(seal, dict) else {}

    def _write_seal(self, name: str, sha256: str, num_bytes: int) -> None:
        seal = {"sha256": sha256, "bytes": num_bytes, "state": self._state(name)}
        self.write_small(f"{SEALS}/{name}.json", canonical_json(seal).encode())

    def write_small(self, name: str, content: bytes) -> None:
        """Put a small file there, at once.

        Raises:
            UnreadableError: the store refuses.
            StorageError: the disk is full or not writable.
        """
        where = self.url(name)
        if not self.remote:
            write_bytes(Path(where), content)
            return
        fs, path = file_system(where)
        make_parents(where, fs, path)
        patiently(lambda: fs.pipe_file(path, content), "cannot be written", FETCH_ATTEMPTS)

    def _sealed_names(self) -> set[str]:
        root = self.url(SEALS)
        if not self.remote:
            found = [path.relative_to(root).as_posix() for path in Path(root).rglob("*.json")]
            return {name.removesuffix(".json") for name in found}
        fs, path = file_system(root)
        fs.invalidate_cache()
        listed = patiently(lambda: fs.find(path), "cannot be listed", FETCH_ATTEMPTS)
        return {one[len(path.rstrip("/")) + 1 :].removesuffix(".json") for one in listed}

    def _remove(self, name: str) -> None:
        if not self.remote:
            Path(self.url(name)).unlink(missing_ok=True)
            return
        fs, path = file_system(self.url(name))

        def once() -> None:
            fs.invalidate_cache(path)
            if fs.exists(path):
                fs.rm_file(path)

        patiently(once, f"{public_url(self.url(name))}: cannot be removed", FETCH_ATTEMPTS)


def tar_place(out: Path, below: str = "") -> TarPlace:
    """Return where the tars of an output folder lie.

    Args:
        out: the folder of table and index.
        below: folder below $LIPFORGE_SHARDS: empty for the shards, `features` for theirs.
    """
    root = environment().shards
    if not root:
        return TarPlace(str(out.absolute()), sealed=False)
    place = root if "://" in root else str(Path(root).absolute())
    return TarPlace("/".join((place.rstrip("/"), *filter(None, [below]))), sealed=True)
