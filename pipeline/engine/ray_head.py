"""One Ray on this machine for all stages of a `dvc repro`: started by the first, found by the next.

`.cache/ray` of the workspace has two files. `lease` is locked (flock) by the command that uses the
head; the kernel frees it however that command ends. `head.json`, readable by its owner alone, says
where the head is; only who holds the lease reads or writes it. The head is a process of its own,
`python -m pipeline.engine.ray_head`, that ends Ray and itself as soon as nobody holds the lease and
the process that ran the last command (DVC) is gone, or after IDLE_S, or when a part of Ray died.
Ray listens on the loopback device alone and wants a token (of Ray 2.52 on), which head.json has.
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from pipeline.atomic import replacing
from pipeline.digest import digest
from pipeline.engine.ray_folder import ray_folder
from pipeline.errors import StorageError
from pipeline.limits import memory_bytes, physical_memory_bytes

FOLDER = Path(".cache/ray")
IDLE_S = 30.0
"""A head that no command has used for so long ends, though DVC may still run: a training, say."""
START_S = 120.0
"""A head that has not started by then is given up."""
POLL_S = 0.5
WAIT_FOR_LEASE_S = 0.3
"""The head holds the lease for microseconds at every poll: a command waits longer than that."""
LOOPBACK = "127.0.0.1"
OBJECT_STORE_BYTES = 128 * 2**20
NOT_COMPARED = (
    *("LIPFORGE_WORKERS", "LIPFORGE_RETRY", "LIPFORGE_RUNNER", "PWD", "OLDPWD", "SHLVL"),
    *("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"),
)
"""Variables that make no difference to a worker."""
OURS = ("LIPFORGE_", "HF_HUB_", "DO_NOT_TRACK", "RAY_")
"""Beginnings of the names of variables that our own code sets."""
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")


@dataclass(frozen=True, slots=True)
class Head:
    """A running head, as `head.json` names it."""

    address: str
    """host:port of its GCS, on the loopback device."""
    ports: tuple[int, ...]
    """What answers while the head is well: GCS and raylet."""
    pid: int
    cpus: int
    token: str
    environment: str
    """Digest of the folder, the interpreter and the variables: its workers inherit them."""

    def variables(self) -> dict[str, str]:
        """Return what Ray must find when it is imported, in the head and in who joins it."""
        return {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the loopback device, also on Linux
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
        }

    def suits(self, cpus: int) -> bool:
        """Return whether workers started by it are those that a head of ours would start."""
        return self.cpus >= cpus and self.environment == environment_digest()

    def answers(self) -> bool:
        """Return whether its process and both ports are there."""
        return is_alive(self.pid) and all(listens(port) for port in self.ports)


_held: list[IO[str]] = []
"""The lease, open until this process ends."""


def shared_head(cpus: int) -> Head | None:
    """Return this workspace's head with at least `cpus` workers; start it if there is none.

    It is this process' until it ends. None: another command uses it, or it cannot be started here
    (a file system without locks): then a command starts a Ray of its own.
    """
    if not _take_lease():
        return None
    head = _read()
    if head and head.suits(cpus) and head.answers():
        return head
    end_head()
    return _start(cpus)


def end_head() -> None:
    """End the head that head.json names, if it still runs; the caller holds the lease."""
    head = _read()
    (FOLDER / "head.json").unlink(missing_ok=True)
    if head and is_alive(head.pid) and _is_keeper(head.pid):
        with suppress(ProcessLookupError):
            os.kill(head.pid, signal.SIGTERM)


def inherited() -> dict[str, str]:
    """Return the variables for the head's process: as this one began, and what we set ourselves.

    Libraries set others when they are imported, another stage others: no reason for another head.
    """
    try:
        begun = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    variables = dict(os.fsdecode(one).partition("=")[::2] for one in begun if one)
    ours = {name: value for name, value in os.environ.items() if name.startswith(OURS)}
    return {name: value for name, value in variables.items() if not name.startswith(OURS)} | ours


def environment_digest() -> str:
    """Return the digest of all that workers inherit of a head's process."""
    variables = {
        name: value
        for name, value in inherited().items()
        if not name.startswith(("DVC_", "RAY_", "_", "PYTEST_")) and name not in NOT_COMPARED
    }
    affinity = getattr(os, "sched_getaffinity", lambda _: ())(0)
    return digest([str(Path.cwd()), sys.executable, sys.version, sorted(affinity), variables])


def node_options(cpus: int) -> dict[str, Any]:
    """Return how `ray.init` is to start a node on this machine, within the limits of this process.

    Raises:
        ClusterError: there is no folder that Ray can use.
    """
    limit = memory_bytes()
    less = limit < physical_memory_bytes()
    return {
        "address": "local",  # not a cluster that happens to run on this machine
        "num_cpus": cpus,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "log_to_driver": False,
        "_temp_dir": str(ray_folder(OBJECT_STORE_BYTES)),
        **({"_memory": max(0, limit - OBJECT_STORE_BYTES)} if less else {}),
    }


def is_alive(pid: int) -> bool:
    """Return whether a process of this number runs and has not only to be waited for."""
    with suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not Path("/proc/self").exists()


def _take_lease() -> bool:
    if _held:
        return True
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        stream = (FOLDER / "lease").open("a+", encoding="ascii")
    except OSError:
        return False
    if not _locked(stream, WAIT_FOR_LEASE_S):
        stream.close()
        return False
    stream.truncate(0)
    stream.write(f"{_runner_of_commands()}\n")
    stream.flush()
    _held.append(stream)
    return True


def _locked(stream: IO[str], wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        except OSError:  # a file system without locks
            return False
        else:
            return True


def _runner_of_commands() -> int:
    """Return the process that runs commands such as this one: DVC, behind the shell it uses."""
    parent = os.getppid()
    with suppress(OSError, StopIteration):
        words = Path(f"/proc/{parent}/cmdline").read_text().split("\0")
        if Path(words[0]).name in SHELLS and "-c" in words:
            lines = Path(f"/proc/{parent}/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("PPid:")).split()[1])
    return parent


def _read() -> Head | None:
    try:
        return _parsed((FOLDER / "head.json").read_text(encoding="ascii"))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _parsed(text: str) -> Head:
    content = json.loads(text)
    return Head(**{**content, "ports": tuple(content["ports"])})


def _is_keeper(pid: int) -> bool:
    """Return false where the number is another process' by now; true if that cannot be told."""
    try:
        return b"pipeline.engine.ray_head" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def listens(port: int) -> bool:
    """Return whether anything listens at a port of the loopback device."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2):
            return True
    except OSError:
        return False


def _start(cpus: int) -> Head | None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.engine.ray_head", str(cpus)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=inherited(),
        start_new_session=True,  # Ctrl-C is for the command, not for the head
        text=True,
    )
    assert process.stdout
    with process.stdout:
        said = process.stdout.readline()
    process.returncode = 0  # it outlives this process: nobody waits for it
    try:
        head = _parsed(said)
        with replacing(FOLDER / "head.json") as part:
            part.touch(mode=0o600)
            part.write_text(said, encoding="ascii")
    except (ValueError, TypeError, KeyError, StorageError):
        return None
    return head


def main(arguments: Sequence[str]) -> None:
    """`python -m pipeline.engine.ray_head CPUS`: start Ray, say where, keep it while it is used."""
    signal.alarm(int(START_S))
    head = _ray_node(int(arguments[0]))
    signal.alarm(0)
    sys.stdout.write(json.dumps(asdict(head)) + "\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _keep(head)


def _ray_node(cpus: int) -> Head:
    digest_before = environment_digest()
    head = Head("", (), os.getpid(), cpus, secrets.token_hex(32), digest_before)
    os.environ.update(head.variables())
    ray: Any = import_module("ray")
    started = ray.init(**node_options(cpus))
    address = started.address_info["gcs_address"]
    return replace(head, address=address, ports=ports_of(address))


def ports_of(address: str) -> tuple[int, ...]:
    """Return the ports that answer while this machine's Ray is well, which was just joined."""
    ray: Any = import_module("ray")
    return int(address.rsplit(":", 1)[1]), int(ray.nodes()[0]["NodeManagerPort"])


def _keep(head: Head) -> None:
    used_s = time.monotonic()
    with (FOLDER / "lease").open("a+", encoding="ascii") as lease:
        while head.answers():
            time.sleep(POLL_S)
            if not _locked(lease, 0.0):
                used_s = time.monotonic()
                continue
            if _is_over(lease, time.monotonic() - used_s):
                (FOLDER / "head.json").unlink(missing_ok=True)
                return
            fcntl.flock(lease, fcntl.LOCK_UN)


def _is_over(lease: IO[str], idle_s: float) -> bool:
    """Return whether nobody will come any more; the lease's text names who ran the last command."""
    if idle_s > IDLE_S:
        return True
    lease.seek(0)
    pid = lease.read().strip()
    return pid.isdecimal() and int(pid) > 1 and not is_alive(int(pid))


if __name__ == "__main__":
    main(sys.argv[1:])
