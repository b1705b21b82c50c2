"""One Ray for the commands of one workspace: found, replaced, ended, never another's."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.engine.ray_head import IDLE_S, is_alive
from tests.conftest import ROOT

COMMAND = """
import sys
from pipeline.engine.ray_head import shared_head
head = shared_head(int(sys.argv[1]))
print(head.pid if head else 0, flush=True)
sys.stdin.read()
"""
STAGE = """
from pathlib import Path
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import counts, run_main, run_stage
from tests.doubles import Deadly
run_main(lambda: print(counts(run_stage(Deadly(), range(16), cache=LocalCache(Path("cache"))))))
"""
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], "1"], stdin=subprocess.DEVNULL, check=True)
"""


def begin(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def head_of(command: subprocess.Popen[str]) -> int:
    assert command.stdout
    return int(command.stdout.readline())


def run(folder: Path, cpus: int = 1, **variables: str) -> int:
    with begin(folder, COMMAND, str(cpus), **variables) as command:
        return head_of(command)


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + IDLE_S - 5
    while is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def folder(workspace) -> Iterator[Path]:
    yield workspace
    for path in workspace.rglob("head.json"):
        with suppress(ProcessLookupError):
            os.kill(json.loads(path.read_text())["pid"], signal.SIGTERM)


def test_the_next_command_finds_the_head_and_one_that_died_is_replaced(folder):
    first = run(folder)
    assert first
    assert is_alive(first)
    file = folder / ".cache/ray/head.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["address"].startswith("127.0.0.1:")
    assert run(folder) == first
    os.kill(first, signal.SIGKILL)
    second = run(folder)
    assert second not in (0, first)
    assert is_alive(second)


def test_a_head_with_too_few_workers_or_other_variables_is_replaced(folder):
    first = run(folder)
    assert run(folder, LIPFORGE_RETRY="no_face", DVC_STAGE="faces") == first
    more = run(folder, cpus=2)
    assert more != first
    assert run(folder) == more
    assert run(folder, LIPFORGE_GPU="cpu") != more
    wait_until_gone(first)
    wait_until_gone(more)


def test_two_workspaces_have_two_heads_and_a_second_command_at_once_has_none(folder):
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    with begin(folder / "a", COMMAND, "1") as first, begin(folder / "b", COMMAND, "1") as other:
        heads = {head_of(first), head_of(other)}
        assert len(heads - {0}) == 2
        assert run(folder / "a") == 0


def test_the_head_ends_with_who_ran_the_commands(folder):
    with begin(folder, PARENT, COMMAND) as parent:
        head = head_of(parent)
    assert head
    wait_until_gone(head)
    assert not (folder / ".cache/ray/head.json").exists()


def test_a_killed_command_leaves_the_head_free_and_a_stage_on_it_ends_as_everywhere(folder):
    with begin(folder, COMMAND, "2") as command:
        head = head_of(command)
        command.kill()
    with begin(folder, STAGE, LIPFORGE_WORKERS="2") as stage:
        out, _ = stage.communicate()
    assert "{'kept': 4, 'rejected': 7, 'failed': 3, 'quarantined': 2}\n" in out
    assert json.loads((folder / ".cache/ray/head.json").read_text())["pid"] == head
