"""SIGTERM and Ctrl-C, in a process of its own."""

import signal
import subprocess
import sys
import time
from itertools import takewhile

import pytest

from tests.conftest import ROOT
from trainers.loop.checkpoints import latest_state


def start(folder, *options):
    command = [sys.executable, "-m", "tests.trainers.processes.slow_run", str(folder), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finished(folder):
    with start(folder) as process:
        lines = process.stdout.read().split()
    assert process.returncode == 0
    return lines


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_finishes_the_step_saves_fails_and_a_rerun_ends_at_the_same_weights(
    tmp_path, expected, signum, code
):
    with start(tmp_path, "0.3") as process:
        for _ in takewhile(lambda line: not line.startswith("step3-"), process.stdout):
            pass
        process.send_signal(signum)
        rest = process.stdout.read()
    assert process.returncode == code
    assert rest == ""
    assert latest_state(tmp_path)["step"] == 4
    lines = finished(tmp_path)
    assert lines[0] == "step4-item0"
    assert lines[-1] == expected[-1]
    if signum == signal.SIGTERM:
        assert finished(tmp_path) == expected[-1:]  # a done run begins no step


def test_a_second_signal_does_not_wait(tmp_path):
    with start(tmp_path, "30") as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)  # equal signals that both wait to be delivered are one
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    assert latest_state(tmp_path) is None
