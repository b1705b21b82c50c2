"""Which workspaces need which entries of an item cache: the roots of `lipforge cache gc`.

Several projects may share one cache. Each writes down in the cache itself what it needs, before a
stage begins: `roots/<id>/root.json` says whose it is, `roots/<id>/<stage>.keys` has the keys of the
stage's run and of its tables until then, and `roots/<id>/<stage>.running` is there until the stage
has written its table. A workspace has its id in `.cache/root.json`, with its host and path: a copy
of the folder finds another path there and takes an id of its own.
"""

import json
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.atomic import write_json
from pipeline.digest import digest
from pipeline.engine.manifest import cache_keys
from pipeline.engine.side_store import SideStore, side_store
from pipeline.errors import ManifestError, StorageError

ROOT_FILE = Path(".cache/root.json")
ROOTS = "roots"


@dataclass(frozen=True, slots=True)
class Root:
    """A workspace that uses the cache."""

    id: str
    host: str
    path: str
    lent: bool = False
    """True in a job on a cluster: it works for the workspace of another machine."""

    def is_here(self) -> bool:
        """Return whether it was made by a workspace in this folder of this machine."""
        return self.host == socket.gethostname() and self.path == str(Path.cwd())

    def state(self) -> str:
        """Return `here`, `gone`, or where it lies: only its own machine can tell more."""
        if self.host != socket.gethostname():
            return f"on {self.host}"
        content = _read(Path(self.path) / ROOT_FILE)
        return "here" if content is not None and content.id == self.id else "gone"


def workspace_root() -> Root:
    """Return the root of this workspace; a new workspace gets one.

    Raises:
        StorageError: it cannot be written down.
    """
    root = _read(ROOT_FILE)
    if root is None or not (root.lent or root.is_here()):
        root = Root(secrets.token_hex(6), socket.gethostname(), str(Path.cwd()))
        write_json(ROOT_FILE, asdict(root))
    return root


@contextmanager
def needing(stage: str, keys: Iterable[str], tables: Iterable[Path] = ()) -> Iterator[None]:
    """Register what a stage's run needs; after an error it stays noted as not ended.

    Args:
        tables: of its run before, whose items are needed until this one has ended.

    Raises:
        StorageError: the cache cannot be written.
    """
    begin(stage, keys, tables)
    yield
    end(stage)


def begin(stage: str, keys: Iterable[str], tables: Iterable[Path] = ()) -> None:
    """Write down, before a stage's run, that its items and those of its old tables are needed.

    Raises:
        StorageError: the cache cannot be written.
    """
    root, store = workspace_root(), side_store()
    needed = {*keys, *(key for table in tables for key in cache_keys(table))}
    store.write(f"{ROOTS}/{root.id}/{stage}.running", b"")
    store.write(f"{ROOTS}/{root.id}/root.json", json.dumps(asdict(root), sort_keys=True).encode())
    store.write(f"{ROOTS}/{root.id}/{stage}.keys", _listed(needed))


def end(stage: str) -> None:
    """Say that the stage has written its table."""
    side_store().remove_file(f"{ROOTS}/{workspace_root().id}/{stage}.running")


def roots(store: SideStore) -> list[Root]:
    """Return every registered workspace, by id.

    Raises:
        StorageError: the cache cannot be read, or a root in it is damaged.
    """
    ids = sorted({one.name.split("/")[1] for one in store.files(ROOTS) if one.name.count("/") > 1})
    return [_root(store, name) for name in ids]


def needed(store: SideStore) -> set[str]:
    """Return the keys that any registered workspace needs.

    Raises:
        StorageError: the cache cannot be read, or a list in it is damaged: then nobody knows.
    """
    return {
        key
        for one in store.files(ROOTS)
        if one.name.endswith(".keys")
        for key in _keys(store, one.name)
    }


def running(store: SideStore) -> set[str]:
    """Return the stages of which some workspace's last run has not written its table."""
    names = (one.name for one in store.files(ROOTS))
    return {Path(name).stem for name in names if name.endswith(".running")}


def forget(store: SideStore, name: str) -> None:
    """Remove a root: what it alone needs is garbage from now on.

    Raises:
        ManifestError: there is no such root.
    """
    known = [one.id for one in roots(store)]
    if name not in known:
        raise ManifestError(f"--forget-root {name}: not among the roots {', '.join(known) or '-'}")
    store.remove(f"{ROOTS}/{name}")


def _listed(keys: Iterable[str]) -> bytes:
    lines = sorted(keys)
    return "".join(f"{line}\n" for line in [*lines, digest(lines)]).encode("ascii")


def _keys(store: SideStore, name: str) -> Iterator[str]:
    *lines, said = (store.read(name) or b"\n").decode("ascii", "replace").splitlines()
    if said != digest(lines):
        fix = "run a stage in its workspace, or name it with --forget-root"
        raise StorageError(f"{store.where}/{name}: damaged, so nothing is removed; {fix}")
    yield from lines


def _root(store: SideStore, name: str) -> Root:
    content = store.read(f"{ROOTS}/{name}/root.json") or b"{}"
    return _parsed(content) or Root(name, "an unknown host", "its root.json is gone or damaged")


def _read(path: Path) -> Root | None:
    try:
        return _parsed(path.read_bytes())
    except OSError:
        return None


def _parsed(content: bytes) -> Root | None:
    try:
        return Root(**json.loads(content))
    except (ValueError, TypeError):
        return None
