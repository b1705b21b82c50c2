"""The end of a run from outside: its driver, its raylet, a terminate signal; two runs at once."""

import json
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.chaos.faults import Attempt
from tests.chaos.rehearsal import WORKERS, Ended, Rehearsal, Run
from tests.chaos.seeds import seeds
from tests.chaos.verdict import Undisturbed, harmed

pytestmark = pytest.mark.chaos

STOPPED = 130


def wait_for_a_random_moment(seed: int, run: Run, rehearsal: Rehearsal, lines: int) -> None:
    """Wait for one of the seeds' moments: from the command's start to its last table."""
    random = Random(seed)
    share = random.random() * 1.1 - 0.05
    rehearsal.wait_for(int(min(share, 1.0) * lines), run)
    time.sleep(random.random() * (2.0 if share < 0 else 0.1))


@pytest.mark.fault("SIGTERM at a random moment")
@pytest.mark.parametrize("seed", seeds(24, quick=2))
def test_a_terminated_run_goes_on_where_it_stopped(rehearsal, undisturbed, ends_right, seed):
    run = rehearsal.start()
    wait_for_a_random_moment(seed, run, rehearsal, undisturbed.lines)
    run.process.send_signal(signal.SIGTERM)
    ended = run.end()
    assert ended.code in (0, STOPPED, -signal.SIGTERM), ended.said
    assert ended.code != -signal.SIGTERM or not rehearsal.site.attempts(), "no handler yet"
    assert harmed(rehearsal, undisturbed) == []
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=WORKERS)


@pytest.mark.fault("`kill -9` of the driver at a random moment")
@pytest.mark.parametrize("seed", seeds(12))
def test_a_killed_driver_loses_nothing(rehearsal, undisturbed, ends_right, seed):
    run = rehearsal.start()
    wait_for_a_random_moment(100 + seed, run, rehearsal, undisturbed.lines)
    run.process.kill()
    before = rehearsal.site.attempts()
    run.end()
    assert harmed(rehearsal, undisturbed) == []
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=WORKERS + begun_by_orphans(rehearsal, before))


def begun_by_orphans(rehearsal: Rehearsal, before: Sequence[Attempt]) -> int:
    """Return how many items the killed command's workers began before Ray ended them, too.

    A call holds several short items, and Ray takes a moment to notice that a driver is gone.
    """
    workers = {one.pid for one in before}
    later = rehearsal.site.attempts()[len(before) :]
    return sum(one.word == "begin" and one.pid in workers for one in later)


def pids_of_ray(home: Path, name: str) -> list[int]:
    """Return the processes of this workspace's Ray that are called so."""
    head = psutil.Process(json.loads((home / ".cache/ray/head.json").read_text())["pid"])
    return [one.pid for one in head.children(recursive=True) if one.name() == name]


def assert_said_in_short(ended: Ended) -> None:
    """A line that says what happened, none of Ray's state, none of its tracebacks."""
    assert ended.code == 1, ended.said
    assert len(ended.lines()) <= 2, ended.said
    assert ended.lines()[-1].startswith("error: "), ended.said


@pytest.mark.fault("`kill -9` of the raylet at a random moment")
@pytest.mark.parametrize("seed", seeds(3))
def test_a_killed_raylet_ends_the_run_in_one_line(rehearsal, undisturbed, ends_right, home, seed):
    run = rehearsal.start()
    rehearsal.wait_for(2 + Random(seed).randrange(undisturbed.lines - 20), run)
    for pid in pids_of_ray(home, "raylet"):
        os.kill(pid, signal.SIGKILL)
    ended = run.end()
    assert harmed(rehearsal, undisturbed) == []
    again = rehearsal.run()
    assert again.code == 0, again.said
    ends_right(rehearsal, in_flight=WORKERS)
    assert_said_in_short(Ended(ended.code, run.log.read_text()))


@pytest.mark.fault("two runs on one cache, from two workspaces at once")
@pytest.mark.parametrize("seed", seeds(3))
def test_two_runs_on_one_cache_give_one_result(rehearsal, undisturbed, ends_right, tmp_path, seed):
    other = Rehearsal(tmp_path / "other", tmp_path / "other-diary")
    shared = {"LIPFORGE_CACHE": str(rehearsal.home / ".cache/items"), "LIPFORGE_WORKERS": "1"}
    first = rehearsal.start(**shared)
    rehearsal.wait_for(Random(seed).randrange(60), first)
    second = other.start(**shared)
    assert (first.end().code, second.end().code) == (0, 0)
    assert other.outputs() == undisturbed.outputs
    assert other.repeated() == []
    ends_right(rehearsal, in_flight=0)
    assert leftovers(rehearsal) == []


def leftovers(rehearsal: Rehearsal) -> list[str]:
    """Return what lies in the private folders of the workers: none of them runs."""
    return sorted(path.name for path in (rehearsal.home / ".cache/items/tmp").glob("*"))


@pytest.mark.fault("two runs on one cache, one of them killed")
@pytest.mark.parametrize("seed", seeds(3, quick=0))
def test_a_run_does_not_notice_that_another_one_was_killed(
    rehearsal, undisturbed, ends_right, tmp_path, seed
):
    other = Rehearsal(tmp_path / "other", tmp_path / "other-diary")
    shared = {"LIPFORGE_CACHE": str(rehearsal.home / ".cache/items"), "LIPFORGE_WORKERS": "1"}
    killed = other.start(**shared)
    ours = rehearsal.start(**shared)
    wait_for_a_random_moment(200 + seed, killed, other, undisturbed.lines // 2)
    killed.process.kill()
    killed.end()
    assert ours.end().code == 0
    ends_right(rehearsal, in_flight=0)


DAY_S = 86_400.0


@pytest.mark.fault("a clock that jumps between two runs, by days, forth and back")
@pytest.mark.parametrize("seed", seeds(4))
def test_a_wrong_clock_repeats_nothing(rehearsal, undisturbed, ends_right, seed):
    jumps_s = [-20_000 * DAY_S, 30 * DAY_S, 365 * DAY_S, -3 * DAY_S]
    run = rehearsal.start(CHAOS_CLOCK_S=str(jumps_s[seed]))
    rehearsal.wait_for(undisturbed.lines // 2, run)
    run.process.send_signal(signal.SIGTERM)
    run.end()
    assert rehearsal.run(CHAOS_CLOCK_S=str(-jumps_s[seed])).code == 0
    ends_right(rehearsal, in_flight=WORKERS)


@pytest.mark.fault("cached items that were written in 1970 and in 2100")
@pytest.mark.parametrize("seed", seeds(2))
def test_an_items_age_decides_nothing(rehearsal, ends_right, seed):
    assert rehearsal.run().code == 0
    moment = (0, 4_102_444_800)[seed]
    for path in (rehearsal.home / ".cache/items").rglob("*"):
        os.utime(path, (moment, moment))
    shutil.rmtree(rehearsal.home / "data")
    assert rehearsal.run().code == 0
    ends_right(rehearsal, in_flight=0)


@pytest.mark.fault("a second run whose clock is days ahead, on one cache")
@pytest.mark.parametrize("seed", seeds(2))
def test_a_run_with_a_clock_ahead_takes_nobodys_work_for_abandoned(
    rehearsal, undisturbed, ends_right, tmp_path, seed
):
    other = Rehearsal(tmp_path / "other", tmp_path / "other-diary")
    shared = {"LIPFORGE_CACHE": str(rehearsal.home / ".cache/items"), "LIPFORGE_WORKERS": "1"}
    ours = rehearsal.start(**shared)
    rehearsal.wait_for(4 + 20 * seed, ours)
    ahead = other.start(**shared, CHAOS_CLOCK_S=str(3 * DAY_S))
    assert (ours.end().code, ahead.end().code) == (0, 0)
    assert_equal(other, undisturbed)
    ends_right(rehearsal, in_flight=0)


def assert_equal(rehearsal: Rehearsal, undisturbed: Undisturbed) -> None:
    assert rehearsal.outputs() == undisturbed.outputs
