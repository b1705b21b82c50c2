"""A job's results: put beside the cache by the job, fetched and checked by who submitted it.

`runs/<id>/files/...` are DVC's objects of the run, the outs that DVC does not cache, `dvc.lock` and
the notes of `data/again`; `runs/<id>/manifest.json`, written last, has size
and SHA-256 of each. DVC itself puts the outs in place from its objects, so that afterwards the
workspace is as after a local `dvc repro`.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from pipeline.atomic import copy_file
from pipeline.digest import digest, file_sha256
from pipeline.engine.garbage import FETCHED, RUNS
from pipeline.engine.side_store import SideStore
from pipeline.errors import StorageError

JOBS = Path(".cache/jobs")
"""Where results are fetched to, and the events of each job stay: `.cache/jobs/<id>/`."""
OBJECTS = ".dvc/cache/files/md5/"
EVENTS = ".cache/events.jsonl"
NOTES = ("data/again/",)
THREADS = 16


@dataclass(frozen=True, slots=True)
class Results:
    """What a manifest says."""

    exit_code: int
    outs: tuple[str, ...]
    """The cached outs that are complete: DVC puts them in place."""
    files: Mapping[str, Mapping[str, Any]]
    """Path -> bytes, sha256."""


def store_results(store: SideStore, job_id: str, nonce: str, exit_code: int) -> None:
    """Put the results of the run in this folder beside the cache; the manifest goes last.

    Raises:
        StorageError: the cache cannot be written.
    """
    cached, plain = _outs()
    paths = [*Path().glob(f"{OBJECTS}**/*"), *Path().glob("data/*/*.failed.parquet")]
    paths += [path for note in NOTES for path in Path(note).glob("*")]
    paths += [Path(name) for name in ("dvc.lock", EVENTS, *plain)]
    files = sorted({path.as_posix() for path in paths if path.is_file()})
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda name: store.put(Path(name), _place(job_id, name)), files))
        facts = dict(zip(files, threads.map(_facts, files), strict=True))
    content = {"nonce": nonce, "exit_code": exit_code, "files": facts}
    content["outs"] = _complete(cached)
    text = json.dumps({**content, "digest": digest(content)}, sort_keys=True)
    store.write(f"{RUNS}/{job_id}/manifest.json", text.encode())


def read_results(store: SideStore, job_id: str, nonce: str) -> Results | None:
    """Return what the job has brought; None where it brought nothing, or an older job of its name.

    Raises:
        StorageError: the cache cannot be read, or the manifest is damaged or names a file that no
            job of ours brings.
    """
    text = store.read(f"{RUNS}/{job_id}/manifest.json")
    if text is None:
        return None
    try:
        content = json.loads(text)
        if content.pop("digest") != digest(content):
            raise ValueError("not its own digest")
        found = Results(int(content["exit_code"]), tuple(content["outs"]), dict(content["files"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{store.where}/{RUNS}/{job_id}/manifest.json: damaged") from error
    cached, plain = _outs()
    for name in [*found.files, *(set(found.outs) - set(cached))]:
        if not _is_ours(name, plain):
            raise StorageError(f"{store.where}/{RUNS}/{job_id}: {name!r} is no result of a job")
    return found if content["nonce"] == nonce else None


def fetch(store: SideStore, job_id: str, results: Results) -> None:
    """Fetch, check and put in place; what was fetched before an interruption is not again.

    Raises:
        StorageError: a file cannot be fetched, or is not what the job stored; or DVC fails.
    """
    staged = JOBS / job_id / "files"
    with ThreadPoolExecutor(THREADS) as threads:
        fetching = lambda item: _fetch(store, job_id, staged, *item)  # noqa: E731
        list(threads.map(fetching, results.files.items()))
    has_objects = any(name.startswith(OBJECTS) for name in results.files)
    cache = _dvc("cache", "dir").strip() if has_objects else ""
    for name in results.files:
        copy_file(staged / name, _target(name, job_id, Path(cache)))
    if results.outs:
        _dvc("checkout", "--force", "--quiet", *results.outs)
    shutil.rmtree(staged)
    store.write(f"{RUNS}/{job_id}/{FETCHED}", b"")


def _fetch(
    store: SideStore, job_id: str, staged: Path, name: str, facts: Mapping[str, Any]
) -> None:
    path = staged / name
    if path.is_file() and _facts(str(path)) == facts:
        return
    store.get(_place(job_id, name), path)
    if _facts(str(path)) != facts:
        raise StorageError(f"{store.where}/{_place(job_id, name)}: not what the job stored")


def _target(name: str, job_id: str, cache: Path) -> Path:
    if name == EVENTS:
        return JOBS / job_id / "events.jsonl"
    if name.startswith(OBJECTS):
        return cache / "files" / "md5" / name.removeprefix(OBJECTS)
    return Path(name)


def _is_ours(name: str, plain: list[str]) -> bool:
    """Return whether a manifest may name this file: nothing outside, nothing of the code."""
    parts = PurePosixPath(name).parts
    if ".." in parts or name != PurePosixPath(name).as_posix() or "\\" in name:
        return False
    is_failed = len(parts) == 3 and parts[0] == "data" and name.endswith(".failed.parquet")
    is_fixed = name in ("dvc.lock", EVENTS, *plain)
    return is_failed or is_fixed or name.startswith((OBJECTS, *NOTES))


def _place(job_id: str, name: str) -> str:
    return f"{RUNS}/{job_id}/files/{name}"


def _facts(name: str) -> dict[str, Any]:
    return {"bytes": Path(name).stat().st_size, "sha256": file_sha256(Path(name))}


def _outs() -> tuple[list[str], list[str]]:
    """Return the outs that DVC caches, and those that it does not: names in dvc.yaml."""
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    cached: list[str] = []
    plain: list[str] = []
    for stage in stages.values():
        for out in [one for kind in ("outs", "metrics", "plots") for one in stage.get(kind, ())]:
            name, options = (out, {}) if isinstance(out, str) else next(iter(out.items()))
            (cached if options.get("cache", True) else plain).append(name)
    return cached, plain


def _complete(cached: list[str]) -> list[str]:
    """Return the outs that dvc.lock knows and that are here: those of the stages that ended well.

    DVC caches the outs of a stage that ended well and no others.
    """
    if not Path("dvc.lock").exists():
        return []
    locked = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8")).get("stages") or {}
    known = {o["path"]: o["md5"] for one in locked.values() for o in one.get("outs", ())}
    return [name for name in cached if name in known and _has_object(known[name])]


def _has_object(md5: str) -> bool:
    return Path(f"{OBJECTS}{md5[:2]}/{md5[2:]}").is_file()


def _dvc(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise StorageError(f"dvc {' '.join(arguments[:2])} failed: {said}")
    return done.stdout
