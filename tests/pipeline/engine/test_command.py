import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.engine.cache import LocalCache
from pipeline.engine.command import check_failures, counts, execute, item_key, run_stage
from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Work
from pipeline.engine.ray_connection import connect
from pipeline.engine.ray_queue import longest_first
from pipeline.engine.ray_runner import RayRunner
from pipeline.engine.runner import SerialRunner
from pipeline.errors import ClusterError, ManifestError, ParamsError, TooManyFailuresError
from pipeline.params.curation import Params
from pipeline.params.environment import environment
from tests.conftest import ROOT
from tests.doubles import (
    BadWeights,
    CrashesInCompany,
    Deadly,
    DiesOfOptionalWork,
    Half,
    Halve,
    Interrupted,
    NeedsArtifact,
    NeverReady,
    Optional,
    Unreadable,
)

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


@pytest.fixture
def cache(workspace) -> LocalCache:
    return LocalCache(workspace / "cache")


def test_every_item_is_kept_rejected_or_failed(cache):
    found = counts(run_stage(Halve(), range(20), SerialRunner(), cache))
    assert found == {"kept": 10, "rejected": 9, "failed": 1, "quarantined": 0}


def test_ray_with_one_or_two_workers_and_shuffled_items_writes_the_bytes_of_the_serial_runner(
    workspace, ray_cluster
):
    shuffled = list(range(60))
    random.Random(1).shuffle(shuffled)
    written = []
    for number, (runner, items) in enumerate(
        [(SerialRunner(), range(60)), (RayRunner(1), shuffled), (RayRunner(2), shuffled[::-1])]
    ):
        fresh = LocalCache(workspace / f"cache{number}")
        table = workspace / f"{number}.parquet"
        write_table(table, run_stage(Halve(), list(items), runner, fresh), Half)
        written.append(table.read_bytes())
    assert written[0] == written[1] == written[2]


def test_an_item_that_raises_segfaults_hangs_or_is_killed_costs_only_itself(cache, ray_cluster):
    found = {o.item_id: o for o in run_stage(Deadly(), range(16), RayRunner(2), cache)}
    bad = {name: (o.status, o.reason) for name, o in found.items() if o.reason != "odd"}
    bad = {name: ending for name, ending in bad.items() if ending != ("kept", "")}
    assert bad == {
        "0006": ("failed", "bug"),
        "0008": ("quarantined", "worker_crashed"),
        "0010": ("failed", "deadline"),
        "0012": ("quarantined", "worker_crashed"),
        "0013": ("failed", "decode_error"),
    }
    assert len(found) == 16
    assert "process\n" in found["0006"].trace
    assert found["0010"].transient
    again = run_stage(Deadly(), [8, 12], RayRunner(1), cache)
    assert all(o.cached and o.status == "quarantined" for o in again)


def test_an_item_that_died_among_others_and_lives_alone_is_not_quarantined(cache, ray_cluster):
    (calls := cache.root.parent / "calls").mkdir()
    found = run_stage(CrashesInCompany(calls), range(0, 12, 2), RayRunner(2), cache)
    assert {one.status for one in found} == {"kept"}


def test_an_item_is_tried_again_without_its_optional_work_under_the_same_key(cache, ray_cluster):
    items = [Optional(number) for number in range(2)]
    found = run_stage(DiesOfOptionalWork(), items, RayRunner(2), cache)
    assert {one.status for one in found} == {"kept"}
    assert [one.key for one in found] == [item_key(DiesOfOptionalWork(), one) for one in items]


def test_the_items_with_the_longest_deadlines_begin_first_and_equal_ones_by_name():
    work = [Work("c", "", 0, 5.0), Work("a", "", 0, 5.0), Work("b", "", 0, 70.0)]
    assert [one.item_id for one in longest_first(work)] == ["b", "a", "c"]


@pytest.mark.parametrize("reason", ["decode_error", "failed"])
def test_what_ended_with_a_reason_is_done_again_on_request_and_nothing_else(
    cache, monkeypatch, reason
):
    run_stage(Halve(), [1, 2, 13], SerialRunner(), cache)
    monkeypatch.setenv("LIPFORGE_RETRY", f"no_such_reason,{reason}")
    again = run_stage(Halve(), [1, 2, 13], SerialRunner(), cache)
    assert [one.cached for one in again] == [True, True, False]


def test_a_bug_is_not_cached_and_counts_as_failed(cache):
    outcomes = run_stage(Deadly(), [2, 4, 6], SerialRunner(), cache)
    assert cache.lookup(outcomes[2].key) is None
    events = Path(".cache/events.jsonl").read_text()
    assert 'raise ZeroDivisionError(\\"a bug\\")' in events
    with pytest.raises(TooManyFailuresError, match=r"ZeroDivisionError.* in \.cache/events\.jsonl"):
        check_failures("deadly", outcomes, max_failed_fraction=0.3)
    check_failures("deadly", outcomes, max_failed_fraction=0.4)


def test_a_stage_with_a_bug_in_few_items_ends_says_so_and_tries_them_again(
    workspace, monkeypatch, capsys
):
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    monkeypatch.setattr(Deadly, "name", "quality")
    table = workspace / "data" / "t.parquet"
    execute(Deadly(), [0, 2, 4, 6], table, Half, Params())
    (row,) = [one for one in pq.read_table(table).to_pylist() if one["status"] == "failed"]
    first, *frames = row["detail"].split("\n")
    assert (row["item_id"], row["reason"], first) == ("0006", "bug", "ZeroDivisionError: a bug")
    assert re.fullmatch(r"at tests/doubles\.py:\d+ process", frames[-1])
    assert str(ROOT) not in row["detail"]
    assert re.search("0006: ZeroDivisionError: a bug; .*events.jsonl", capsys.readouterr().err)
    assert "0006" in Path("data/again/quality.json").read_text()
    again = run_stage(Deadly(), [0, 2, 4, 6])
    assert [one.cached for one in again] == [True, True, True, False]


def test_too_many_broken_inputs_fail_the_run(cache):
    outcomes = run_stage(Halve(), [12, 13], SerialRunner(), cache)
    check_failures("halve", outcomes, max_failed_fraction=0.5)
    with pytest.raises(TooManyFailuresError, match="1 of 2 items"):
        check_failures("halve", outcomes, max_failed_fraction=0.4)


def test_the_error_of_a_worker_that_cannot_load_its_weights_comes_back_as_it_is(cache, ray_cluster):
    with pytest.raises(Exception, match="weights are altered"):
        run_stage(BadWeights(), [2], RayRunner(1), cache)


@pytest.mark.parametrize(("dies", "why"), [(False, "a bug in setup"), (True, "process has died")])
def test_workers_that_never_get_ready_end_the_run_with_the_reason(cache, ray_cluster, dies, why):
    with pytest.raises(ClusterError, match=f"(?s)never_ready: .* before their first item: .*{why}"):
        run_stage(NeverReady(dies), [2], RayRunner(1), cache)
    trace = Path(".cache/events.jsonl").read_text()
    assert dies or ("doubles.py" in trace and "in setup" in trace)


def test_an_added_item_is_the_only_one_computed(cache, workspace):
    calls = workspace / "calls"
    calls.mkdir()
    run_stage(Halve(calls), [2, 4], SerialRunner(), cache)
    run_stage(Halve(calls), [2, 3, 4], SerialRunner(), cache)
    assert sorted(path.name.split("-")[0] for path in calls.iterdir()) == ["2", "3", "4"]


def test_items_of_equal_content_are_computed_once(cache, workspace):
    class Twin(Halve):
        def identity(self, item):
            return {"number": item % 10}

    calls = workspace / "calls"
    calls.mkdir()
    found = run_stage(Twin(calls), [2, 12], SerialRunner(), cache)
    assert [o.item_id for o in found] == ["0002", "0012"]
    assert len(list(calls.iterdir())) == 1


def test_two_items_of_one_name_are_refused(cache):
    with pytest.raises(ManifestError, match="0002"):
        run_stage(Halve(), [2, 2], SerialRunner(), cache)


def test_the_key_changes_with_version_and_params_and_with_nothing_else(tmp_path):
    class Newer(Halve):
        version = "2"

    class Tuned(Halve):
        def cache_params(self):
            return {"threshold": 3}

    keys = {item_key(stage, 4) for stage in (Halve(), Newer(), Tuned())}
    assert len(keys) == 3
    assert item_key(Halve(calls=tmp_path, slow_s=1), 4) == item_key(Halve(), 4)


def test_what_the_file_system_refused_is_tried_again(cache):
    (first,) = run_stage(Unreadable(), [2], SerialRunner(), cache)
    assert (first.status, first.reason) == ("failed", "unreadable")
    (again,) = run_stage(Unreadable(), [2], SerialRunner(), cache)
    assert not again.cached


def test_a_lost_disk_that_a_decoder_takes_for_a_broken_stream_is_tried_again(cache):
    (first,) = run_stage(Interrupted(), [2], SerialRunner(), cache)
    assert (first.status, first.reason) == ("failed", "unreadable")
    assert cache.lookup(first.key) is None


def damage(cache: LocalCache, item: int) -> Path:
    path = cache.place(item_key(Halve(), item), "half.txt")
    path.write_text(chr(ord(path.read_text()[0]) ^ 1))
    return path


def test_a_damaged_file_fails_who_needs_it_for_now_and_the_owner_makes_it_again(
    cache, monkeypatch, capsys
):
    monkeypatch.setattr(Halve, "name", "faces")
    run_stage(Halve(), [2, 4], SerialRunner(), cache)
    path = damage(cache, 2)
    bad, good = run_stage(NeedsArtifact(), [2, 4], SerialRunner(), cache)
    assert (bad.status, bad.reason, bad.transient) == ("failed", "damaged_cache", True)
    assert good.status == "kept"
    assert cache.lookup(bad.key) is None
    assert str(path) in capsys.readouterr().err
    assert [p.name for p in Path("data/again").iterdir()] == ["faces.json"]

    healed = run_stage(Halve(), [2, 4], SerialRunner(), cache)
    assert [one.cached for one in healed] == [False, True]
    (again,) = run_stage(NeedsArtifact(), [2], SerialRunner(), cache)
    assert again.status == "kept"


@pytest.mark.parametrize("number", ["0", "two", "-1"])
def test_an_impossible_number_of_workers_is_refused(cache, monkeypatch, number):
    monkeypatch.setenv("LIPFORGE_WORKERS", number)
    with pytest.raises(ParamsError, match="whole number of at least 1"):
        environment()


def test_a_cluster_without_a_shared_cache_is_refused(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("LIPFORGE_RAY_ADDRESS", "ray://127.0.0.1:1")
    monkeypatch.delenv("LIPFORGE_CACHE", raising=False)
    with pytest.raises(ParamsError, match="LIPFORGE_CACHE"):
        connect()


def test_a_failed_run_leaves_no_table_that_looks_done(workspace, monkeypatch):
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    table = workspace / "data" / "t.parquet"
    execute(Halve(), [2, 4], table, Half, Params())
    with pytest.raises(TooManyFailuresError):
        execute(Halve(), [13], table, Half, Params())
    assert not table.exists()
    execute(Halve(), [2], table, Half, Params())
    assert [path.name for path in table.parent.iterdir()] == ["t.parquet"]


def test_an_unknown_runner_is_refused_with_the_fix(cache, monkeypatch):
    monkeypatch.setenv("LIPFORGE_RUNNER", "slurm")
    with pytest.raises(ParamsError, match="`ray` or `serial`"):
        run_stage(Halve(), [2], cache=cache)


SCRIPT = """
import sys
from pathlib import Path
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import run_main, run_stage
from pipeline.engine.manifest import write_table
from tests.doubles import Half, Halve

def main():
    stage = Halve(Path("calls"), slow_s=0.3)
    outcomes = run_stage(stage, range(0, 40, 2), cache=LocalCache(Path("c")))
    write_table(Path("t.parquet"), outcomes, Half)

run_main(main)
"""


def start(workspace: Path) -> subprocess.Popen[bytes]:
    (workspace / "calls").mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LIPFORGE_WORKERS": "2"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=workspace, env=environment)


def wait_for_calls(workspace: Path, number: int) -> None:
    deadline = time.monotonic() + 240
    while len(list((workspace / "calls").glob("*"))) < number:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_workers_are_gone(workspace: Path) -> None:
    """Ray's workers notice after a while that their driver is dead: wait for 3 quiet seconds."""
    before, now = -1, 0
    while now != before:
        time.sleep(3)
        before, now = now, len(list(workspace.rglob("*")))


def test_after_kill_9_the_rerun_repeats_only_what_was_in_flight(workspace):
    process = start(workspace)
    wait_for_calls(workspace, 8)
    process.kill()
    process.wait()
    wait_until_workers_are_gone(workspace)
    done = len(list((workspace / "c").glob("??/*/meta.json")))
    before = len(list((workspace / "calls").iterdir()))
    assert start(workspace).wait() == 0
    after = len(list((workspace / "calls").iterdir()))
    assert after - before == 20 - done
    uninterrupted = workspace / "u.parquet"
    write_table(
        uninterrupted,
        run_stage(Halve(), range(0, 40, 2), SerialRunner(), LocalCache(workspace / "d")),
        Half,
    )
    assert (workspace / "t.parquet").read_bytes() == uninterrupted.read_bytes()


def test_ctrl_c_stops_with_130_and_keeps_what_is_finished(workspace):
    process = start(workspace)
    wait_for_calls(workspace, 5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=90) == 130
    assert not (workspace / "t.parquet").exists()
    assert list((workspace / "c").glob("??/*/meta.json"))
