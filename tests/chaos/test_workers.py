"""Faults inside of a worker, and the kill of one: an item's fault is that item's alone."""

import json
import os
import signal
from random import Random

import psutil
import pytest

from tests.chaos.faults import own_group
from tests.chaos.rehearsal import WORKERS
from tests.chaos.seeds import seeds
from tests.chaos.verdict import harmed, unaccounted

pytestmark = pytest.mark.chaos

STAGES = ("draw", "measure", "bundle")


def chosen(seed: int) -> tuple[str, int]:
    """Return a stage and an item that it keeps."""
    random = Random(seed)
    return STAGES[seed % 3], random.choice([n for n in range(40) if n not in (7, 13)])


def needs_memory_groups() -> None:
    try:
        (own_group() / "lipforge-chaos-probe").mkdir()
        (own_group() / "lipforge-chaos-probe").rmdir()
    except OSError as error:
        pytest.skip(f"no memory group can be made here: {error}")


@pytest.mark.fault("an exception of ours in an item")
@pytest.mark.parametrize("seed", seeds(3))
def test_an_exception_is_one_items_and_says_where(rehearsal, undisturbed, ends_right, home, seed):
    stage, number = chosen(seed)
    rehearsal.site.plant(stage, number, "exception")
    ended = rehearsal.run()
    assert ended.code in (0, 1)
    assert rehearsal.endings(stage)[number] == ("failed", "bug")
    assert unaccounted(rehearsal, undisturbed, stage) == []
    assert harmed(rehearsal, undisturbed, {number}) == []
    events = [json.loads(line) for line in (home / ".cache/events.jsonl").read_text().splitlines()]
    traces = [one["trace"] for one in events if one.get("reason") == "bug"]
    assert len(traces) == 1
    assert "a bug on purpose" in traces[0]
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=1)


@pytest.mark.fault("a segmentation fault")
@pytest.mark.parametrize("seed", seeds(3))
def test_a_segmentation_fault_in_company_is_tried_again_alone(rehearsal, ends_right, seed):
    rehearsal.site.plant(*chosen(seed), "segmentation_fault")
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=1)


@pytest.mark.fault(
    "an item that always segfaults: quarantined, then asked for again when it does not"
)
@pytest.mark.parametrize("seed", seeds(3, quick=0))
def test_an_item_that_always_crashes_is_quarantined_alone(rehearsal, undisturbed, ends_right, seed):
    stage, number = chosen(seed)
    # among others, in a call of its own, and with nothing else in work
    rehearsal.site.plant(stage, number, "segmentation_fault", times=3)
    assert rehearsal.run().code == 0
    assert rehearsal.endings(stage)[number] == ("quarantined", "worker_crashed")
    assert harmed(rehearsal, undisturbed, {number}) == []
    rehearsal.site.heal()
    assert rehearsal.run(LIPFORGE_RETRY="quarantined").code == 0
    ends_right(rehearsal, in_flight=1)


@pytest.mark.fault("a hang past the deadline")
@pytest.mark.parametrize("seed", seeds(2))
def test_a_hang_is_tried_again(rehearsal, ends_right, seed):
    rehearsal.site.plant(*chosen(seed), "hang")
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=1)


@pytest.mark.fault("a worker that the kernel kills for memory (a group of 256 MiB)")
@pytest.mark.parametrize("seed", seeds(3))
def test_a_kill_for_memory_is_tried_again(rehearsal, ends_right, seed):
    needs_memory_groups()
    rehearsal.site.plant(*chosen(seed), "killed_for_memory")
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=1)


@pytest.mark.fault("a worker that Ray's memory monitor kills")
@pytest.mark.parametrize("seed", seeds(2, quick=0))
def test_a_kill_by_rays_memory_monitor_is_tried_again(rehearsal, ends_right, seed):
    memory = psutil.virtual_memory()
    if memory.available < 8 * 2**30:
        pytest.skip("needs 8 GiB of free memory")
    limit = (memory.total - memory.available + 3 * 2**30) / memory.total
    rehearsal.variables = {
        "RAY_memory_usage_threshold": f"{limit:.3f}",
        "RAY_memory_monitor_refresh_ms": "50",
    }
    rehearsal.site.plant(*chosen(seed), "fills_memory")
    assert rehearsal.run().code == 0
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=WORKERS)


@pytest.mark.fault("an allocation that is refused")
@pytest.mark.parametrize("seed", seeds(3))
def test_a_refused_allocation_is_tried_again_by_the_next_run(
    rehearsal, undisturbed, ends_right, seed
):
    stage, number = chosen(seed)
    rehearsal.site.plant(stage, number, "memory_error")
    assert rehearsal.run().code == 0
    assert rehearsal.endings(stage)[number] in (("failed", "out_of_memory"), ("kept", ""))
    assert harmed(rehearsal, undisturbed, {number}) == []
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=1)


@pytest.mark.fault("`kill -9` of a worker at a random moment")
@pytest.mark.parametrize("seed", seeds(6))
def test_a_killed_worker_loses_nothing(rehearsal, undisturbed, ends_right, seed):
    random = Random(seed)
    run = rehearsal.start()
    rehearsal.wait_for(1 + random.randrange(undisturbed.lines - 10), run)
    while not (found := rehearsal.in_work()):
        assert not run.is_over()
    os.kill(found[0], signal.SIGKILL)
    assert run.end().code == 0
    ends_right(rehearsal, in_flight=1)
