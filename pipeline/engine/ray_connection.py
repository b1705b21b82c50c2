"""Starts Ray on this machine, or joins the cluster that the environment names. No telemetry."""

import logging
import os
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.engine.ray_head import end_head, listens, node_options, ports_of, shared_head
from pipeline.engine.ray_obituary import RAY_DIED, Obituary
from pipeline.errors import ClusterError, ParamsError
from pipeline.limits import usable_cpus
from pipeline.params.environment import environment, for_workers

ANSWER_S = 10.0
HTTP2_SETTINGS = b"\x04"
"""Type of a settings frame; a frame is 3 bytes of length, its type, flags, and 4 of a stream."""
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + HTTP2_SETTINGS + bytes(5)
NOT_SHIPPED = (
    *("/.venv", "/.venv-latest", "/.git", "/.dvc", "/.cache", "/data", "/reports", "/models"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache"),
)
"""What a cluster's workers do not need of the project's folder: patterns as in .gitignore, anchored
where a package of ours has a folder of that name."""


_ports: list[int] = []
"""What answers while the Ray that this process has joined is well; empty for a cluster."""
_obituaries: list[Obituary] = []


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
    options = _cluster_options(address) if address else node_options(wanted_cpus())
    try:
        ray.init(**options, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = f"LIPFORGE_RAY_ADDRESS={address}" if address else "Ray on this machine"
        raise ClusterError(f"{where}: cannot be reached or started: {error}") from error
    if not address:
        _watch(ports_of(ray.get_runtime_context().gcs_address))


def disconnect() -> None:
    """Leave the Ray that this process has joined; at its exit Ray would sleep for half a second."""
    _ports.clear()
    while _obituaries:
        _obituaries.pop().cancel()
    if "ray" in sys.modules:
        ray: Any = import_module("ray")
        ray.shutdown()


def _watch(ports: Sequence[int], obituary: Obituary | None = None) -> None:
    """Let `require_local_ray` report a death, and not Ray, which prints pages of its log."""
    _ports[:] = ports
    _obituaries.append(obituary or Obituary(ports))
    worker: Any = import_module("ray._private.worker")
    worker._worker_logs_enabled = False  # there is no public switch for errors of the raylet


def require_local_ray() -> None:
    """Fail as soon as a part of this machine's Ray is gone; else it would report that at length.

    Raises:
        ClusterError: it died, and with it all that was in work.
    """
    if not all(listens(port) for port in _ports):
        raise ClusterError(RAY_DIED)


def wanted_cpus() -> int:
    """Return how many CPUs of this machine the workers may take."""
    return environment().workers or usable_cpus()


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
    obituary = Obituary(head.ports)
    try:
        ray.init(address=head.address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError):
        obituary.cancel()
        end_head()
        return False
    _watch(head.ports, obituary)
    return True


def require_ray_at(address: str) -> None:
    """Fail at once where no Ray answers: Ray itself would try for minutes, with a line per attempt.

    Both ports that the address may name speak HTTP/2, whose server begins with its settings.

    Raises:
        ClusterError: nobody listens there, or another program.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()) or "RAY_USE_TLS" in os.environ:
        return  # `auto`, say: Ray knows
    fix = "is Ray started there (`ray status`), and is that port open to this machine?"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER_S) as stream:
            stream.settimeout(ANSWER_S)
            stream.sendall(HTTP2_GREETING)
            answer = stream.recv(9)
    except OSError as error:
        said = error.strerror or str(error)
        raise ClusterError(f"LIPFORGE_RAY_ADDRESS={address}: {said}; {fix}") from error
    if answer[3:4] != HTTP2_SETTINGS:
        raise ClusterError(f"LIPFORGE_RAY_ADDRESS={address}: another program answers; {fix}")


def _cluster_options(address: str) -> dict[str, Any]:
    """Ship the code; the cache must be where all workers reach it, the weights come from there.

    Raises:
        ClusterError: no Ray answers at the address.
        ParamsError: LIPFORGE_CACHE is not set.
    """
    if not environment().cache:
        fix = "set it to a folder that all workers mount, or to a URL such as s3://bucket/lipforge"
        raise ParamsError(f"LIPFORGE_RAY_ADDRESS needs LIPFORGE_CACHE: {fix}")
    require_ray_at(address)
    project = {
        "working_dir": str(Path.cwd()),
        "excludes": list(NOT_SHIPPED),
        "env_vars": {**for_workers(), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
    }
    return {"address": address, "runtime_env": project}
