"""A cluster's address at which no Ray answers, and a part of this machine's Ray that dies."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.engine.ray_connection import require_ray_at
from pipeline.errors import ClusterError
from tests.conftest import ROOT

STAGE = """
from pathlib import Path
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import run_main, run_stage
from tests.doubles import Halve
stage, cache = Halve(slow_s=0.5), LocalCache(Path("cache"))
run_main(lambda: run_stage(stage, range(0, 400, 2), cache=cache))
"""


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_listens_is_one_line_at_once(scheme):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"LIPFORGE_RAY_ADDRESS=.*refused; is Ray started"):
            require_ray_at(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_port_that_another_program_has_is_told(scheme):
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.handle_request).start()
        address = f"{scheme}127.0.0.1:{server.server_port}"
        with pytest.raises(ClusterError, match="another program answers; is Ray started there"):
            require_ray_at(address)


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_a_part_of_ray_that_is_killed_is_one_line(workspace, part):
    with subprocess.Popen(
        [sys.executable, "-c", STAGE],
        env={**os.environ, "PYTHONPATH": str(ROOT), "LIPFORGE_WORKERS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as stage:
        assert stage.stdout
        while len(list(workspace.glob("cache/??/*"))) < 2:
            assert stage.poll() is None, stage.stdout.read()
            time.sleep(0.1)
        head = json.loads((workspace / ".cache/ray/head.json").read_text())["pid"]
        os.kill(child_of(head, part), signal.SIGKILL)
        said = [line for line in stage.stdout.read().splitlines() if "halve: " not in line]
    assert said == [
        "error: Ray on this machine has died (killed, or no memory left for it); finished items "
        "are cached: run again to go on"
    ]
    assert stage.returncode == 1


def child_of(parent, name):
    for path in Path("/proc").glob("[0-9]*/stat"):
        pid, _, rest = path.read_text(errors="replace").partition(" (")
        command, _, after = rest.rpartition(") ")
        if command == name and int(after.split()[1]) == parent:
            return int(pid)
    raise AssertionError(f"{parent} has no process {name}")
