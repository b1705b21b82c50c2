"""`lipforge submit` on a real Ray with its dashboard, on the loopback device."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

pytest.importorskip("aiohttp_cors", reason="needs ray[default]: pip install '.[submit]'")
pytestmark = pytest.mark.slow

HEAD = """
import sys, time, ray
where = {"dashboard_host": "127.0.0.1", "dashboard_port": int(sys.argv[1])}
ray.init(address="local", num_cpus=2, include_dashboard=True, log_to_driver=False, **where)
print("up", flush=True)
time.sleep(600)
"""
CODE = ("pipeline", "stages", "trainers", "dvc.yaml", "dvc.lock")


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """The variables that lead to a head in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(32).hex()}
    variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-c", HEAD, port]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as head:
        assert head.stdout
        assert "up" in iter(lambda: head.stdout.readline().strip(), "")
        yield {**variables, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port}"}
        head.terminate()


@pytest.fixture
def project(workspace, cluster) -> Path:
    """A workspace with one source; its weights are those of the repository."""
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, name)
    for folder in ("videos", "cache", ".dvc"):
        Path(folder).mkdir()
    Path("videos/empty.mp4").touch()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["ingest"]["source"] = str(workspace / "videos")
    params["run"]["max_failed_fraction"] = 1.0
    Path("params.yaml").write_text(yaml.safe_dump(params))
    return workspace


def started(project: Path, cluster: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    variables = {**cluster, "LIPFORGE_CACHE": str(project / "cache"), "PYTHONPATH": str(project)}
    variables["LIPFORGE_WEIGHTS"] = str(ROOT / ".cache" / "weights")
    command = [sys.executable, "-m", "pipeline", "submit", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=project, env=variables, text=True, **pipes)


def test_a_job_succeeds_and_its_table_is_here(project, cluster):
    with started(project, cluster, "--id", "well", "--", "ingest") as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert (project / "data/ingest/videos.parquet").exists()
    status = [sys.executable, "-m", "dvc", "status", "demo", "ingest"]
    shown = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    assert "changed outs" not in shown
    assert "changed deps" not in shown


def test_ctrl_c_stops_the_job_on_the_cluster(project, cluster):
    with started(project, cluster, "--id", "stop") as process:
        assert process.stdout
        while "python -m stages." not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "stop: STOPPED" in said


def test_a_client_that_was_killed_attaches_again(project, cluster):
    with started(project, cluster, "--id", "again", "--", "ingest") as process:
        assert process.stdout
        while "submitted" not in process.stdout.readline():
            assert process.poll() is None
        process.kill()
    with started(project, cluster, "--attach", "again") as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert (project / "data/ingest/videos.parquet").exists()
