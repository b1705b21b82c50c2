"""Real clusters of several nodes on this machine: nodes come and go, calls get lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.chaos

BEGIN = """
import json, os, sys, threading, time
from pathlib import Path
import ray
from ray._raylet import GcsClient
from ray.autoscaler.v2.sdk import get_cluster_resource_state
from ray.cluster_utils import Cluster
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import run_stage
from pipeline.engine.ray_runner import RayRunner
from pipeline.engine.stage import Resources
from tests.doubles import Noted

cache, calls = LocalCache(Path("cache")), Path("calls")
calls.mkdir()

def cluster(*nodes, **options):
    made = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **nodes[0]})
    for node in nodes[1:]:
        made.add_node(**node)
    os.environ["LIPFORGE_RAY_ADDRESS"] = made.address
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    return made

def ended(number):
    until = time.monotonic() + 120
    while len(list(calls.iterdir())) < number and time.monotonic() < until:
        time.sleep(0.1)

def meanwhile(change, run):
    # only the main thread may add a node
    found = []
    thread = threading.Thread(target=lambda: found.append(run()))
    thread.start()
    change()
    thread.join()
    return found[0]

def workers():
    return sorted({path.name.split("-")[1] for path in calls.iterdir()})

def tell(found):
    print("TOLD", json.dumps({
        "endings": [[one.item_id, one.status, one.reason, one.detail] for one in found],
        "calls": len(list(calls.iterdir())),
        "workers": len(workers()),
    }))
"""


def told(workspace: Path, script: str, **variables: str) -> dict:
    """Run a driver in a process of its own, with a Ray of its own; return what it tells."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LIPFORGE_CACHE": str(workspace), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    line = next((one for one in done.stdout.splitlines() if one.startswith("TOLD ")), None)
    assert line is not None, done.stderr
    return json.loads(line.removeprefix("TOLD "))


def test_workers_follow_a_cluster_that_loses_a_node_and_gets_two(workspace):
    found = told(
        workspace,
        """
made = cluster({"num_cpus": 1}, {"num_cpus": 1})
second = made.list_all_nodes()[1]
def change():
    ended(6)
    made.remove_node(second, allow_graceful=False)
    ended(10)
    made.add_node(num_cpus=1)
    made.add_node(num_cpus=1)
stage = Noted(calls, slow_s=0.7)
tell(meanwhile(change, lambda: run_stage(stage, range(0, 120, 2), RayRunner(), cache)))
""",
    )
    assert {one[1] for one in found["endings"]} == {"kept"}
    assert found["workers"] == 4
    assert len(found["endings"]) == 60 <= found["calls"] <= 60 + 2


def test_an_autoscaler_sees_what_waiting_workers_ask_for_and_a_node_that_comes_gets_them(workspace):
    found = told(
        workspace,
        """
made = cluster({"num_cpus": 0})
def asked():
    client = GcsClient(address=made.address)
    pending = get_cluster_resource_state(client).pending_resource_requests
    return [dict(one.request.resources_bundle) for one in pending for _ in range(one.count)]
def change():
    while not asked():
        time.sleep(0.2)
    Path("asked.json").write_text(json.dumps(asked()))
    made.add_node(num_cpus=1)
tell(meanwhile(change, lambda: run_stage(Noted(calls), range(0, 8, 2), RayRunner(), cache)))
""",
    )
    assert [one[1] for one in found["endings"]] == ["kept"] * 4
    asked = json.loads((workspace / "asked.json").read_text())
    assert asked == [{"CPU": 1.0, "memory": 1e9}] * len(asked)
    assert len(asked) in range(1, 5)


def test_a_worker_that_cannot_be_reached_for_a_moment_is_no_crash(workspace):
    half = {"num_failures": 4, "req_failure_prob": 50, "resp_failure_prob": 50}
    lost = json.dumps({"CoreWorkerService.grpc_client.PushTask": half})
    found = told(
        workspace,
        """
made = cluster({"num_cpus": 1})
tell(run_stage(Noted(calls), range(0, 40, 2), RayRunner(), cache))
""",
        RAY_testing_rpc_failure=lost,
        RAY_testing_rpc_failure_avoid_intra_node_failures="0",
    )
    assert {one[1] for one in found["endings"]} == {"kept"}
    assert found["workers"] == 1


@pytest.mark.parametrize(("share_gb", "reason"), [(0.3, "its share is 0.3 GB"), (9, "not enough")])
def test_who_is_killed_for_memory_is_blamed_by_what_its_worker_had(workspace, share_gb, reason):
    memory = psutil.virtual_memory()
    share = min(0.95, (memory.total - memory.available + 2.5e9) / memory.total)
    found = told(
        workspace,
        f"""
made = cluster({{"num_cpus": 1, "memory": 10**10}})
stage = Noted(calls, eats=4)
stage.resources = Resources(memory_bytes=int({share_gb} * 1e9))
tell(run_stage(stage, range(0, 8, 2), RayRunner(), cache))
""",
        RAY_memory_usage_threshold=f"{share:.3f}",
        RAY_memory_monitor_refresh_ms="50",
    )
    bad = [one for one in found["endings"] if one[1] != "kept"]
    assert [one[:3] for one in bad] == [["0004", "failed", "out_of_memory"]]
    assert reason in bad[0][3]
    attempts = [p for p in (workspace / "calls").iterdir() if p.name.startswith("4-")]
    assert len(attempts) == (2 if share_gb < 1 else 6)


def test_an_item_that_passed_its_deadline_is_tried_again_on_another_node(workspace):
    told(
        workspace,
        """
made = cluster({"num_cpus": 1}, {"num_cpus": 1})
tell(run_stage(Noted(calls, slow_s=10, hangs=4), [4, 6], RayRunner(), cache))
""",
    )
    tried = [p.name.split("-")[2] for p in (workspace / "calls").iterdir() if p.name[:2] == "4-"]
    assert len(tried) == len(set(tried)) == 2


def test_a_machine_with_less_memory_than_its_cpus_need_runs_fewer_workers_but_one(workspace):
    for memory in (10**9 + 1, 10**8):
        folder = workspace / str(memory)
        folder.mkdir()
        found = told(
            folder,
            f"""
made = cluster({{"num_cpus": 4, "memory": {memory}}})
tell(run_stage(Noted(calls, slow_s=0.2), range(0, 20, 2), RayRunner(), cache))
""",
        )
        assert found["workers"] == 1
