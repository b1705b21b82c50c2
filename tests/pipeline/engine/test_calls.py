"""Several items in one call to a worker: who is to blame, who is computed again."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.engine import ray_queue, ray_slot
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import run_stage
from pipeline.engine.ray_runner import RayRunner
from pipeline.engine.ray_worker import Answer
from tests.doubles import Quick

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


@pytest.fixture
def calls(workspace) -> Path:
    (workspace / "calls").mkdir()
    return workspace / "calls"


@pytest.fixture
def all_in_one_call(monkeypatch):
    monkeypatch.setattr(ray_queue, "CALL_S", 60.0)


def numbers(calls: Path) -> Counter[int]:
    return Counter(int(path.name.split("-")[0]) for path in calls.iterdir())


def workers(calls: Path) -> set[str]:
    return {path.name.split("-")[1] for path in calls.iterdir()}


def test_who_dies_raises_or_hangs_in_a_call_of_many_is_the_only_one_to_blame(
    workspace, calls, ray_cluster, all_in_one_call
):
    found = run_stage(Quick(calls), range(300), RayRunner(2), LocalCache(workspace / "cache"))
    assert {one.item_id: one.reason for one in found if one.status != "kept"} == {
        "0037": "worker_crashed",
        "0061": "bug",
        "0083": "deadline",
    }
    assert len(found) == 300
    assert [one.status for one in found if one.item_id == "0037"] == ["quarantined"]
    assert not any(one.cached for one in found)


def test_what_a_call_had_finished_when_its_worker_died_is_not_computed_again(
    workspace, calls, ray_cluster, all_in_one_call
):
    items = [number for number in range(200) if number not in (61, 83)]
    found = run_stage(Quick(calls), items, RayRunner(1), LocalCache(workspace / "cache"))
    assert len(found) == len(items)
    assert {n for n, count in numbers(calls).items() if count > 1} == {37}
    assert len(workers(calls)) > 1


def test_items_of_no_time_share_a_call_and_the_last_ones_are_spread(
    workspace, calls, ray_cluster, monkeypatch
):
    sizes = []
    taken = ray_queue.WorkQueue.take

    def noted(*where):
        work = taken(*where)
        sizes.append(len(work))
        return work

    monkeypatch.setattr(ray_queue.WorkQueue, "take", noted)
    items = range(1000, 1600)
    run_stage(Quick(calls), items, RayRunner(2), LocalCache(workspace / "cache"))
    assert sum(sizes) == 600
    assert sizes[0] == sizes[-1] == 1
    assert 1 < max(sizes) <= ray_queue.ITEMS_PER_CALL


def test_a_worker_is_replaced_after_so_many_items_that_took_so_long(
    workspace, calls, ray_cluster, monkeypatch
):
    monkeypatch.setattr(ray_slot, "ITEMS_PER_WORKER", 10)
    run_stage(Quick(calls), range(100, 140), RayRunner(1), LocalCache(workspace / "a"))
    assert len(workers(calls)) == 1
    monkeypatch.setattr(ray_slot, "WORK_PER_WORKER_S", 0.0)
    run_stage(Quick(calls), range(100, 140), RayRunner(1), LocalCache(workspace / "b"))
    assert len(workers(calls)) > 2


def test_a_worker_whose_memory_has_grown_is_replaced():
    slot = ray_slot.Slot(None, None)
    slot.add(Answer([None] * ray_slot.ITEMS_PER_WORKER, 0.1, 10**9))
    assert not slot.is_worn()
    slot.add(Answer([None], 0.1, 10**9 + ray_slot.LEAK_BYTES + 1))
    assert slot.is_worn()


def test_every_item_has_its_event_when_the_run_has_ended(workspace, calls, ray_cluster):
    run_stage(Quick(calls), range(100, 150), RayRunner(2), LocalCache(workspace / "cache"))
    events = [json.loads(line) for line in Path(".cache/events.jsonl").read_text().splitlines()]
    assert [one["event"] for one in events] == ["start", *["item"] * 50, "end"]
