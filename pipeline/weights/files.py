"""Model files: description, origin, SHA-256, and fetching.

`weights.lock.json` beside this module lists every model file the data line uses. A file comes from
a wheel of the Python package index (`pip-wheel`: one exact wheel whatever the user's platform, a
member of it), from a URL (`http`), or lies in this repository (`bundled`: `location` is its path
from the repository's root). Whatever the way, only the SHA-256 in the lock decides. A file whose
home publishes no digest (`http-first-trust`) is fetched only on demand; the digest of its first
fetch decides from then on (pipeline/weights/first_use.py). Before that its bytes must be
what they claim to be: who fetches such a file gives a validator, by name (`Validators`).
"""

import hashlib
import http.client
import json
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pipeline.atomic import write_bytes
from pipeline.digest import file_sha256
from pipeline.errors import WeightsError, WeightsUnavailableError
from pipeline.params.environment import environment
from pipeline.weights.first_use import check_or_pin, pinned_sha256

LOCK = Path(__file__).with_name("weights.lock.json")
ROOT = Path(__file__).resolve().parents[2]
FIX = "run `lipforge weights fetch`"
HTTP_TIMEOUT_S = 60.0
MAX_DOWNLOAD_BYTES = 256 * 2**20
"""For files whose entry gives no size; an answer without an end must not fill the memory."""

Validators = Mapping[str, Callable[[bytes], object]]
"""Name of a file -> what raises WeightsError, without a path, where bytes are no such file."""
NO_VALIDATORS: Validators = {}

Status = Literal["ok", "absent", "altered", "not fetched", "untrusted"]
"""On demand only: `not fetched` is no fault; `untrusted` is here without a digest on record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One entry of the lock."""

    name: str
    what: str
    licence: str
    sha256: str
    """Hex; empty for http-first-trust, whose digest stands in `trusted.lock.json`."""
    kind: Literal["pip-wheel", "http", "http-first-trust", "bundled"]
    location: str
    """pip-wheel: key into the lock's `wheels`; http...: URL; bundled: path from the root."""
    member: str = ""
    """pip-wheel: path inside the wheel."""
    on_demand: bool = False
    """Fetched only by name: large, or not needed by the data line."""
    size_bytes: int = 0
    """http: the file's size, for one above MAX_DOWNLOAD_BYTES."""

    @property
    def by_name_only(self) -> bool:
        """Whether `fetch` without names leaves it out; pinning a digest is always on purpose."""
        return self.on_demand or self.kind == "http-first-trust"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One exact wheel file of the Python package index."""

    requirement: str
    file: str
    sha256: str
    platform: str
    python_version: str
    implementation: str

    def pip_download(self, folder: Path) -> list[str]:
        """Return the argument list that puts this wheel, and nothing else, into `folder`."""
        target = ["--platform", self.platform, "--python-version", self.python_version]
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", *target]
        options += ["--implementation", self.implementation, "-d", str(folder)]
        return [sys.executable, "-m", "pip", "download", *options, self.requirement]


def weights_dir() -> Path:
    """Return the folder of fetched files: $LIPFORGE_WEIGHTS, else `.cache/weights`."""
    return environment().weights or ROOT / ".cache" / "weights"


def list_weights() -> list[Weight]:
    """Return every entry of the lock, in its order."""
    return [Weight(**entry) for entry in _lock(LOCK)["weights"]]


def sha256_of(name: str) -> str:
    """Return the locked SHA-256 of a model file, hex; empty before one is pinned."""
    entry = _entry(name)
    return pinned_sha256(name) if entry.kind == "http-first-trust" else entry.sha256


def path_of(name: str) -> Path:
    """Return where the file lies, checked against the lock.

    Raises:
        WeightsError: no such name in the lock, or the file is absent or has another SHA-256.
    """
    entry = _entry(name)
    path = _place(entry)
    status = _status(entry)
    if status in ("absent", "not fetched") and (other := _of_workspace(entry)) is not None:
        return other
    if status != "ok":
        raise WeightsError(f"{path}: {name} is {status}; {_fix(entry)}")
    return path


def weights_file_sha256(path: Path) -> str:
    """Return the SHA-256 of any weights file, hex, without holding it in memory.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error


def fix_of(name: str) -> str:
    """Return what to do about a file that is absent or altered, as an order to the user."""
    return _fix(_entry(name))


def verify() -> dict[str, Status]:
    """Return the state of every file in the lock, by name. Reads each file once."""
    return {entry.name: _status(entry) for entry in list_weights()}


def fetch(names: Iterable[str] | None = None, validators: Validators = NO_VALIDATORS) -> list[Path]:
    """Get what is absent or altered (by default all files but those on demand), return the paths.

    Each file appears under its name only when whole and checked (temporary name, then rename), so
    any number of processes may fetch at once.

    Args:
        validators: for files of kind `http-first-trust`; without one such a file is refused.

    Raises:
        WeightsUnavailableError: a download did not come.
        WeightsError: unknown name, wrong SHA-256, a bundled file is not whole, or a file on demand
            is not the pinned one, or no such file at all.
        StorageError: the weights folder cannot be written.
    """
    entries = [_entry(n) for n in names] if names is not None else _always()
    missing = [entry for entry in entries if _status(entry) != "ok"]
    for entry in missing:
        if entry.kind == "bundled":
            raise WeightsError(f"{_place(entry)}: {_status(entry)}; {_fix(entry)}")
    for wheel in sorted({entry.location for entry in missing if entry.kind == "pip-wheel"}):
        _fetch_wheel(wheel, [entry for entry in missing if entry.location == wheel])
    for entry in missing:
        if entry.kind == "http":
            _store(entry, _http_get(entry))
        elif entry.kind == "http-first-trust":
            _fetch_first(entry, validators)
    return [path_of(entry.name) for entry in entries]


def _always() -> list[Weight]:
    return [entry for entry in list_weights() if not entry.by_name_only]


@cache
def _lock(path: Path) -> Mapping[str, Any]:
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); restore it with git") from error
    return document


def _entry(name: str) -> Weight:
    known = {entry.name: entry for entry in list_weights()}
    if name not in known:
        raise WeightsError(f"{LOCK}: no weight named {name!r}; known: {', '.join(sorted(known))}")
    return known[name]


def _place(entry: Weight) -> Path:
    return ROOT / entry.location if entry.kind == "bundled" else weights_dir() / entry.name


def _of_workspace(entry: Weight) -> Path | None:
    """Return the file of the workspace that a copy made by `dvc exp run --temp` lies in."""
    for folder in ROOT.parents:
        path = folder / ".cache" / "weights" / entry.name
        if (folder / ".dvc" / "tmp" / "exps") in ROOT.parents and path.is_file():
            return path if file_sha256(path) == sha256_of(entry.name) else None
    return None


def _fix(entry: Weight) -> str:
    if entry.kind == "bundled":
        return "restore it with git"
    return f"{FIX[:-1]} {entry.name}`" if entry.by_name_only else FIX


def _status(entry: Weight) -> Status:
    try:
        found = file_sha256(_place(entry))
    except FileNotFoundError:
        return "not fetched" if entry.by_name_only else "absent"
    except OSError as error:
        raise WeightsError(f"{_place(entry)}: cannot be read: {error}") from error
    locked = sha256_of(entry.name)
    if not locked:
        return "untrusted"
    return "ok" if found == locked else "altered"


def _fetch_first(entry: Weight, validators: Validators) -> None:
    """Use the file that is here, else fetch it; a digest that is pinned already must match."""
    path = _place(entry)
    if path.exists():
        _pin(entry, path.read_bytes(), str(path), validators)
        return
    content = _http_get(entry)
    _pin(entry, content, entry.location, validators)
    write_bytes(path, content)


def _pin(entry: Weight, content: bytes, where: str, validators: Validators) -> None:
    if not pinned_sha256(entry.name):
        _validate(entry, content, where, validators)
    check_or_pin(entry.name, hashlib.sha256(content).hexdigest(), where)


def _validate(entry: Weight, content: bytes, where: str, validators: Validators) -> None:
    """Refuse what is no such file (a network's log-in page, say) before its digest is pinned."""
    if entry.name not in validators:
        raise WeightsError(
            f"{entry.name}: nothing here can check that a file is one, so none is trusted"
        )
    try:
        validators[entry.name](content)
    except WeightsError as error:
        fix = f"delete {where}" if "://" not in where else "try from another network"
        raise WeightsError(
            f"{where}: not {entry.name}: {error}; nothing was trusted or stored; {fix}, "
            f"then {_fix(entry)}"
        ) from error


def _fetch_wheel(name: str, entries: list[Weight]) -> None:
    wheel = Wheel(**_lock(LOCK)["wheels"][name])
    with tempfile.TemporaryDirectory(prefix="lipforge-") as folder:
        path = _download_wheel(wheel, Path(folder))
        with zipfile.ZipFile(path) as archive:
            for entry in entries:
                _store(entry, archive.read(entry.member))


def _download_wheel(wheel: Wheel, folder: Path) -> Path:
    done = subprocess.run(
        wheel.pip_download(folder), capture_output=True, text=True, check=False, errors="replace"
    )
    path = folder / wheel.file
    if done.returncode != 0 or not path.is_file():
        said = (done.stderr or done.stdout).strip()[-500:]
        raise WeightsError(
            f"{wheel.file}: pip could not download it; check the network and pip's index "
            f"settings, then {FIX}; pip said: {said}"
        )
    _check(wheel.file, path.read_bytes(), wheel.sha256)
    return path


def _http_get(entry: Weight) -> bytes:
    url, limit = entry.location, entry.size_bytes or MAX_DOWNLOAD_BYTES
    if not url.startswith(("http://", "https://")):
        raise WeightsError(f"{LOCK}: {url!r} is no http or https URL")
    try:
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_S) as answer:
            content: bytes = answer.read(limit + 1)
            if answer.length and len(content) <= limit:  # read(n) does not say so
                raise http.client.IncompleteRead(content, answer.length)
    except (OSError, http.client.HTTPException) as error:
        message = f"{url}: cannot be downloaded: {error}; {_fix(entry)}"
        raise WeightsUnavailableError(message) from error
    if len(content) > limit:
        raise WeightsError(
            f"{url}: answers with more than {limit} bytes, which {entry.name} has "
            "not; nothing was stored; try from another network"
        )
    return content


def _check(name: str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsError(
            f"{name}: the downloaded bytes have SHA-256 {found}, the lock says {sha256}; nothing "
            f"was stored; {FIX} again, or from another network"
        )


def _store(entry: Weight, content: bytes) -> None:
    _check(entry.name, content, entry.sha256)
    write_bytes(_place(entry), content)
