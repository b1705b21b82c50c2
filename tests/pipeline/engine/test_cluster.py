"""The same command on a Ray cluster that was there before: by address and by Ray Client."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

HEAD = """
import time
from ray.cluster_utils import Cluster
options = {"num_cpus": 2, "include_dashboard": False, "ray_client_server_port": 23999}
print(Cluster(initialize_head=True, head_node_args=options).address, flush=True)
time.sleep(300)
"""
DRIVER = """
from pathlib import Path
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import counts, run_main, run_stage
from tests.doubles import Deadly

run_main(lambda: print(counts(run_stage(Deadly(), range(16), cache=LocalCache(Path("cache"))))))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A head node in a process of its own; its address."""
    with subprocess.Popen([sys.executable, "-c", HEAD], stdout=subprocess.PIPE, text=True) as head:
        assert head.stdout
        lines = iter(head.stdout.readline, "")
        address = next(line.strip() for line in lines if re.fullmatch(r"[\d.]+:\d+\n", line))
        yield address
        head.terminate()


@pytest.mark.parametrize("by_client", [False, True], ids=["address", "client"])
def test_a_cluster_gives_the_result_of_this_machine(cluster, workspace, by_client):
    for package in ("pipeline", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, workspace / package, ignore=ignore)
    (workspace / "driver.py").write_text(DRIVER)
    address = "ray://127.0.0.1:23999" if by_client else cluster
    time.sleep(5)
    done = subprocess.run(
        [sys.executable, "driver.py"],
        cwd=workspace,
        env={**os.environ, "LIPFORGE_RAY_ADDRESS": address, "LIPFORGE_CACHE": str(workspace)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    expected = "{'kept': 4, 'rejected': 7, 'failed': 3, 'quarantined': 2}"
    assert expected in done.stdout, done.stderr
    assert Path(workspace / "cache").is_dir()
