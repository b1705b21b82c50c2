"""The Slurm script: its syntax, and a dry run with stand-ins for Slurm, Ray and DVC."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "deploy/slurm/lipforge.sbatch"
SAY = 'echo "$(basename "$0") $*" >>"$SAID"\n'
STAND_INS = {
    "scontrol": 'printf "n1\\nn2\\nn3\\n"\n',
    "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"\n',
    "ray": 'if [[ $1 == status ]]; then exit "$HEALTH"; fi\n'
    'trap \'echo "ended $*" >>"$SAID"; exit 0\' TERM\n'
    "while :; do sleep 0.05; done\n",
    "dvc": 'echo "env $LIPFORGE_RAY_ADDRESS ${#RAY_AUTH_TOKEN} $RAY_AUTH_MODE" >>"$SAID"\n'
    'trap \'echo "ended dvc" >>"$SAID"; exit 130\' TERM\n'
    "for ((i = 0; i < DVC_FOR; i++)); do sleep 0.05; done\n"
    'exit "$DVC_CODE"\n',
}


@pytest.fixture
def surroundings(tmp_path) -> dict[str, str]:
    """Variables of a dry run in an empty folder, with the stand-ins in front of PATH."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in STAND_INS.items():
        (commands / name).write_text(f"#!/bin/bash\n{SAY}{text}")
        (commands / name).chmod(0o755)
    said = tmp_path / "said"
    said.touch()
    return {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "SAID": str(said),
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_CPUS_PER_TASK": "8",
        "LIPFORGE_CACHE": "/shared/lipforge",
        "LIPFORGE_RAY_WAIT_S": "0",
        **{"HEALTH": "0", "DVC_CODE": "0", "DVC_FOR": "4"},
    }


def run(surroundings: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    command = ["bash", str(SCRIPT), *words]
    pipes = {"capture_output": True, "text": True, "check": False, "timeout": 60}
    return subprocess.run(command, env=surroundings, **pipes)


def said(surroundings: dict[str, str]) -> list[str]:
    return Path(surroundings["SAID"]).read_text().splitlines()


def test_its_syntax_is_bash():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_a_head_and_workers_are_started_the_line_is_run_and_all_is_ended(surroundings):
    done = run(surroundings)
    assert done.returncode == 0, done.stderr
    lines = said(surroundings)
    starts = [line for line in lines if line.startswith("ray start")]
    assert sum("--head" in line for line in starts) == 1
    assert sum("--address=n1:6379" in line for line in starts) == 2
    assert all("--num-cpus=8" in line for line in starts)
    asked = [line.partition("--nodelist=")[2].split()[0] for line in lines if "nodelist" in line]
    assert set(asked) == {"n1", "n2", "n3"}
    assert "dvc repro report" in lines
    assert "env n1:6379 64 token" in lines
    assert sum(line.startswith("ended start") for line in lines) == 3


def test_arguments_are_those_of_dvc_repro_and_its_exit_code_is_the_jobs(surroundings):
    surroundings["DVC_CODE"] = "7"
    assert run(surroundings, "-s", "faces").returncode == 7
    lines = said(surroundings)
    assert "dvc repro -s faces" in lines
    assert sum(line.startswith("ended start") for line in lines) == 3


def test_a_head_that_does_not_start_ends_the_job_with_one_line(surroundings):
    surroundings["HEALTH"] = "1"
    done = run(surroundings)
    assert done.returncode == 1
    assert done.stderr == "lipforge: Ray's head did not start on n1\n"
    assert not [line for line in said(surroundings) if line.startswith("dvc")]


def test_without_a_cache_nothing_is_started(surroundings):
    del surroundings["LIPFORGE_CACHE"]
    done = run(surroundings)
    assert done.returncode != 0
    assert "LIPFORGE_CACHE: set it to a folder" in done.stderr
    assert said(surroundings) == []


def test_slurms_signal_before_the_time_limit_ends_the_line_and_ray(surroundings):
    surroundings["DVC_FOR"] = "2000"
    with subprocess.Popen(["bash", str(SCRIPT)], env=surroundings) as process:
        while not any(line.startswith("env ") for line in said(surroundings)):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    lines = said(surroundings)
    assert "ended dvc" in lines
    assert sum(line.startswith("ended start") for line in lines) == 3
