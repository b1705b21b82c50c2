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

Done = subprocess.CompletedProcess[str]
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
NEEDY = """
from pathlib import Path
from pipeline.engine import agreement
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import counts, run_main, run_stage
from tests.needy import Needy

run_main(lambda: print(counts(run_stage(Needy(), range(4), cache=LocalCache(Path("cache"))))))
"""
OTHER_NUMPY = """
from pipeline.engine import agreement
real = agreement.package_version
agreement.package_version = lambda name: "9.9.9" if name == "numpy" else real(name)
"""
STAGE = """
import os
from pathlib import Path
from pipeline.weights import files as weights
from tests.doubles import Halve

class Needy(Halve):
    def weights(self):
        return {"face_landmark.tflite": weights.sha256_of("face_landmark.tflite")}
    def setup(self):
        path = weights.path_of("face_landmark.tflite")
        assert path.is_relative_to(weights.ROOT) and "runtime_resources" in str(path)
        assert os.environ["AWS_PROFILE"] == "ours" and "AWS_SECRET_ACCESS_KEY" not in os.environ
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


def driven(workspace: Path, driver: str, address: str, **env: str) -> Done:
    for package in ("pipeline", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, workspace / package, ignore=ignore)
    (workspace / "driver.py").write_text(driver)
    (workspace / "tests" / "needy.py").write_text(STAGE)
    env |= {"LIPFORGE_RAY_ADDRESS": address, "LIPFORGE_CACHE": str(workspace / "shared")}
    return subprocess.run(
        [sys.executable, "driver.py"],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": "", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("by_client", [False, True], ids=["address", "client"])
def test_a_cluster_gives_the_result_of_this_machine(cluster, workspace, by_client):
    address = "ray://127.0.0.1:23999" if by_client else cluster
    time.sleep(5)
    done = driven(workspace, DRIVER, address)
    expected = "{'kept': 4, 'rejected': 7, 'failed': 3, 'quarantined': 2}"
    assert expected in done.stdout, done.stderr
    assert Path(workspace / "cache").is_dir()


def test_workers_get_weights_from_the_shared_cache_and_variables_but_no_secret(cluster, workspace):
    mine = ROOT / ".cache" / "weights" / "face_landmark.tflite"
    if not mine.exists():
        pytest.skip("`lipforge weights fetch` has not been run")
    shutil.copytree(mine.parent, workspace / ".cache" / "weights")
    env = {"AWS_PROFILE": "ours", "AWS_SECRET_ACCESS_KEY": "secret"}
    done = driven(workspace, NEEDY, cluster, **env)
    assert "{'kept': 2, 'rejected': 2, 'failed': 0, 'quarantined': 0}" in done.stdout, done.stderr
    (stored,) = (workspace / "shared" / "weights").iterdir()
    assert stored.read_bytes() == mine.read_bytes()


def test_a_worker_with_another_package_ends_the_run_before_the_first_item(cluster, workspace):
    done = driven(workspace, OTHER_NUMPY + DRIVER, cluster)
    lines = [line for line in done.stderr.splitlines() if "deadly: " not in line]
    assert done.returncode == 1
    assert len(lines) == 1, done.stderr
    assert re.match(
        r"error: node [\d.]+ \(.*\): package numpy is 2\S+, but 9\.9\.9 on the machine that runs "
        r"the command; on that node: pip install 'numpy==9\.9\.9'",
        lines[0],
    )
    assert not list((workspace / "cache").glob("??"))
