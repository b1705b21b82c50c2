"""Model files on their way to the workers of a cluster: `weights/<sha256>` in the shared cache.

The machine that runs the command offers the files which a stage names; a worker that lacks one
copies it and compares its SHA-256. So no folder of weights is shipped with the code, whose size Ray
limits, and a node gets each file once.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import fsspec
from filelock import FileLock

from pipeline.atomic import copy_file, whole_file
from pipeline.digest import digest, file_sha256
from pipeline.errors import StorageError, WeightsError
from pipeline.faults import Caught, words
from pipeline.weights.files import list_weights, path_of, weights_dir

FOLDER = "weights"


def offer(cache: str, digests: Mapping[str, str], own: Mapping[str, Path]) -> None:
    """Put into the shared cache what workers may lack of a stage's model files.

    Args:
        cache: folder or URL of the shared cache.
        digests: file name -> SHA-256, as `Stage.weights`.
        own: file name -> path of those that the user named.

    Raises:
        WeightsError: a file is absent or altered.
        StorageError: the cache cannot be written.
    """
    for name in sorted(_travelling(digests) | set(own)):
        source = own[name].expanduser() if name in own else path_of(name)
        _put(cache, digests[name], source)


def bring(cache: str, digests: Mapping[str, str], own: Mapping[str, Path]) -> None:
    """Fetch what is not on this machine, or is another file, of a stage's model files.

    Processes of one machine fetch a file once. A file that the user named is put where it is named,
    but replaces none.

    Raises:
        WeightsError: the shared cache has not got a file, or holds other bytes under its name, or
            another file lies where the user named one.
        StorageError: this machine's disk is full or not writable, or the cache cannot be reached.
    """
    for name in sorted(_travelling(digests) | set(own)):
        place = own[name].expanduser() if name in own else weights_dir() / name
        lock = Path(tempfile.gettempdir()) / f"lipforge-{digest(str(place))[:16]}.lock"
        with FileLock(lock, mode=0o600):
            _bring_one(cache, digests[name], place, replaces=name not in own)


def portable_path(path: Path) -> str:
    """Return a path as it would be named on another machine, whose home may be another."""
    absolute = path.expanduser().absolute()
    home = Path.home()
    inside = absolute.is_relative_to(home)
    return f"~/{absolute.relative_to(home)}" if inside else str(absolute)


def _travelling(digests: Mapping[str, str]) -> set[str]:
    """Return the names of the fetched files: what is bundled is shipped with the code."""
    return {one.name for one in list_weights() if one.kind != "bundled"} & set(digests)


def _bring_one(cache: str, sha256: str, place: Path, replaces: bool) -> None:
    if place.is_file():
        found = file_sha256(place)
        if found == sha256:
            return
        if not replaces:
            raise WeightsError(
                f"{place}: SHA-256 {found}, but {sha256} on the machine that runs the command; "
                "remove it there, and it is sent"
            )
    _get(cache, sha256, place)


def _put(cache: str, sha256: str, source: Path) -> None:
    if "://" not in cache:
        target = Path(cache).absolute() / FOLDER / sha256
        if not (target.is_file() and target.stat().st_size == source.stat().st_size):
            copy_file(source, target)
        return
    url = f"{cache.rstrip('/')}/{FOLDER}/{sha256}"
    with Caught() as caught:
        fs, path = fsspec.core.url_to_fs(url)
        if not (fs.exists(path) and fs.size(path) == source.stat().st_size):
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            fs.put_file(str(source), path)
    if caught.error is not None:
        raise StorageError(f"{url}: cannot be written: {words(caught.error)}") from caught.error


def _get(cache: str, sha256: str, place: Path) -> None:
    where = f"{cache.rstrip('/')}/{FOLDER}/{sha256}"
    with Caught() as caught:
        fs, path = fsspec.core.url_to_fs(where)
        with whole_file(place) as part:
            fs.get_file(path, str(part))
            if (found := file_sha256(part)) != sha256:
                raise WeightsError(
                    f"{where}: damaged, its SHA-256 is {found}; delete it and run the command again"
                )
    if isinstance(caught.error, WeightsError):
        raise caught.error
    if isinstance(caught.error, FileNotFoundError):
        raise WeightsError(f"{where}: not there, for {place}") from caught.error
    if caught.error is not None:
        said = words(caught.error)
        raise StorageError(f"{where}: cannot be copied to {place}: {said}") from caught.error
