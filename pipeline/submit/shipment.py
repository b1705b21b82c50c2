"""What a job takes to the cluster: code, parameters, DVC's state and the listed weights.

Everything is copied into one folder by name, so nothing is sent by accident: no item cache, no
clips, no history, no file of the user's. DVC runs there without git.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json, write_text
from pipeline.engine.roots import ROOT_FILE, workspace_root
from pipeline.errors import ParamsError, StorageError
from pipeline.params.curation import Params, load_params
from pipeline.params.environment import environment, forwarded
from pipeline.weights import files as weights
from pipeline.weights.first_use import PINNED

NEEDED = ("dvc.yaml", "params.yaml", "pipeline", "stages", "trainers")
TAKEN_IF_THERE = ("dvc.lock", "pyproject.toml", "constraints.txt", ".dvcignore")
LIMIT_BYTES = 512 * 2**20
"""Of Ray for one package (GCS_STORAGE_MAX_SIZE)."""
DVC_CONFIG = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
FORWARDED = (
    *("cache", "shards", "gpu", "retry", "workers"),
    *("train_processes", "train_speed", "loader_workers"),
)
"""Fields of the environment that mean the same on the cluster as here."""
STOP_S = 30
"""So long Ray lets a stopped job end by itself before it kills it."""
DEMO = Path("data/demo")


def check_submittable(params: Params) -> None:
    """Refuse what cannot run, or bring nothing back, before anything is sent.

    Raises:
        ParamsError: no cache that both sides reach, or a source that only this machine has.
    """
    cache = environment().cache
    if not cache:
        fix = "set it to a URL such as s3://bucket/lipforge, or to a folder mounted here and there"
        raise ParamsError(f"lipforge submit needs LIPFORGE_CACHE, and results come by it: {fix}")
    if "://" not in cache and not (Path(cache).is_absolute() and Path(cache).is_dir()):
        fix = "an absolute path of a folder that is mounted here as on the cluster, or a URL"
        raise ParamsError(f"LIPFORGE_CACHE={cache}: `lipforge submit` needs {fix}")
    shards = environment().shards
    if shards and "://" not in shards and not Path(shards).is_absolute():
        fix = "an absolute path of a folder that is mounted on the cluster, or a URL"
        raise ParamsError(f"LIPFORGE_SHARDS={shards}: `lipforge submit` needs {fix}")
    source = params.ingest.source
    if "://" in source or Path(source).is_absolute() or Path(source).is_relative_to(DEMO):
        return
    if not _is_list(source):
        fix = "name a URL or an absolute path that every node of the cluster can read"
        raise ParamsError(f"params.yaml ingest.source = {source}: is not sent along; {fix}")


def pack(folder: Path, on_demand: Sequence[str] = ()) -> None:
    """Copy what the job needs into an empty folder.

    Args:
        on_demand: names of model files to take besides those that the curation always needs.

    Raises:
        ParamsError: this is not the project's folder, or it is more than Ray takes.
        WeightsError: a model file is absent or altered.
        StorageError: this machine's disk is full or not writable.
    """
    try:
        _copy(folder, _names(load_params().ingest.source))
        for name in _weights(on_demand):
            target = folder / ".cache" / "weights" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(weights.path_of(name), target)
    except OSError as error:
        raise StorageError(f"cannot copy what the job needs: {error}") from error
    write_text(folder / ".dvc" / "config", DVC_CONFIG)
    write_json(folder / ROOT_FILE, asdict(replace(workspace_root(), lent=True)))
    _check_size(folder)


def runtime_env(folder: Path) -> dict[str, Any]:
    """Return Ray's description of the job's surroundings. No secrets: Ray's dashboard shows it."""
    return {
        "working_dir": str(folder),
        "env_vars": {
            **forwarded(*FORWARDED),
            "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",  # the stages ship the same folder to workers
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S),
            "RAY_USAGE_STATS_ENABLED": "0",
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "1",
            "PYTHONUNBUFFERED": "1",
        },
    }


def _is_list(source: str) -> bool:
    return Path(source).suffix in (".jsonl", ".csv") and Path(source).is_file()


def _names(source: str) -> list[str]:
    if absent := [name for name in NEEDED if not Path(name).exists()]:
        raise ParamsError(f"{absent[0]}: not here; run `lipforge submit` in the project's folder")
    found = [name for name in (*TAKEN_IF_THERE, PINNED.name) if Path(name).exists()]
    lists = [source] if not Path(source).is_absolute() and _is_list(source) else []
    return [*NEEDED, *found, *lists]


def _copy(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(name).is_dir():
            shutil.copytree(name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(name, target)


def _weights(on_demand: Sequence[str]) -> list[str]:
    always = [
        one.name for one in weights.list_weights() if one.kind != "bundled" and not one.by_name_only
    ]
    return list(dict.fromkeys([*always, *on_demand]))


def _check_size(folder: Path) -> None:
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    if (total := sum(sizes.values())) < LIMIT_BYTES:
        return
    largest = max(sizes, key=lambda path: sizes[path]).relative_to(folder)
    raise ParamsError(
        f"the job's files are {total / 2**20:.0f} MiB, and Ray takes less than "
        f"{LIMIT_BYTES // 2**20}; the largest is {largest}: put model files into LIPFORGE_WEIGHTS "
        "on the nodes instead of --weights"
    )


def metadata(nonce: str) -> dict[str, str]:
    """Return what Ray keeps with the job, for whoever attaches to it."""
    return {"lipforge": json.dumps({"nonce": nonce, "cache": environment().cache})}
