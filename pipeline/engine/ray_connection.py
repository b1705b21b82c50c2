"""Starts Ray on this machine, or joins the cluster that the environment names. No telemetry."""

import logging
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.engine.ray_head import OBJECT_STORE_BYTES, end_head, shared_head
from pipeline.errors import ClusterError, ParamsError
from pipeline.params.environment import environment, forwarded

NOT_SHIPPED = (
    *(
        ".venv",
        ".venv-latest",
        ".git",
        ".dvc",
        ".cache/items",
        ".cache/training",
        ".cache/ray",
        ".cache/events.jsonl",
        "data",
        "reports",
        "models",
    ),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache"),
)
"""What a cluster's workers do not need of the project's folder."""


def connect() -> None:
    """Join this workspace's Ray, or the cluster at $LIPFORGE_RAY_ADDRESS.

    Raises:
        ClusterError: the cluster cannot be reached, or Ray cannot be started.
        ParamsError: an environment variable is wrong or missing.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = environment().ray_address
    if not address and _join_shared_head():
        return
    ray: Any = import_module("ray")
    if ray.is_initialized():
        return
    options = _cluster_options(address) if address else _local_options()
    try:
        ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = f"LIPFORGE_RAY_ADDRESS={address}" if address else "Ray on this machine"
        raise ClusterError(f"{where}: cannot be reached or started: {error}") from error


def disconnect() -> None:
    """Leave the Ray that this process has joined; at its exit Ray would sleep for half a second."""
    if "ray" in sys.modules:
        ray: Any = import_module("ray")
        ray.shutdown()


def wanted_cpus() -> int:
    """Return how many CPUs of this machine the workers may take."""
    return environment().workers or os.cpu_count() or 1


def _join_shared_head() -> bool:
    """Join the head that all commands of a `dvc repro` share; false: there is none for us.

    Ray reads address, token and device when it is imported: who did that before has his own Ray.
    """
    if "ray" in sys.modules:
        return False
    head = shared_head(wanted_cpus())
    if head is None:
        return False
    os.environ.update(head.variables())
    ray: Any = import_module("ray")
    try:
        ray.init(address=head.address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError):
        end_head()
        return False
    return True


def _local_options() -> dict[str, Any]:
    return {
        "address": "local",  # not a cluster that happens to run on this machine
        "num_cpus": wanted_cpus(),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }


def _cluster_options(address: str) -> dict[str, Any]:
    """Ship the code and the weights; the cache must be where all workers reach it.

    Raises:
        ParamsError: LIPFORGE_CACHE is not set.
    """
    if not environment().cache:
        fix = "set it to a folder that all workers mount, or to a URL such as s3://bucket/lipforge"
        raise ParamsError(f"LIPFORGE_RAY_ADDRESS needs LIPFORGE_CACHE: {fix}")
    os.environ["RAY_RUNTIME_ENV_IGNORE_GITIGNORE"] = "1"  # .cache/weights is ignored by git
    project = {
        "working_dir": str(Path.cwd()),
        "excludes": list(NOT_SHIPPED),
        "env_vars": {**forwarded("cache", "gpu"), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
    }
    return {"address": address, "runtime_env": project}
