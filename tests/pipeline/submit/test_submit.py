"""`lipforge submit` against a stand-in for the Jobs API: attach, stop, exit codes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.digest import digest
from pipeline.engine.side_store import SideStore
from pipeline.errors import ClusterError, ParamsError, StorageError
from pipeline.params.curation import Params
from pipeline.submit import job_client
from pipeline.submit.command import submit
from pipeline.submit.job_client import ATTEMPTS, Job
from pipeline.submit.results import read_results
from pipeline.submit.shipment import check_submittable, pack, runtime_env
from tests.conftest import ROOT
from tests.pipeline.submit.fake_jobs import FakeJobs

FACTS = {"lipforge": "{}"}


@pytest.fixture
def jobs(monkeypatch) -> Iterator[FakeJobs]:
    """The stand-in; waits between attempts are short."""
    monkeypatch.setattr(job_client, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(job_client, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(job_client, "POLL_S", 0.1)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with FakeJobs() as fake:
        yield fake


@pytest.fixture
def project(workspace, monkeypatch) -> Path:
    """The least that a job is made of."""
    (workspace / "params.yaml").write_text("ingest: {source: /videos}\n")
    (workspace / "dvc.yaml").write_text(
        "stages:\n  ingest: {cmd: x, outs: [data/ingest]}\n"
        "  report: {cmd: x, outs: [reports/report.html: {cache: false}]}\n"
    )
    for name in ("pipeline", "stages", "trainers", "secrets"):
        (workspace / name).mkdir()
        (workspace / name / "code.py").write_text("1\n")
    (workspace / "cache").mkdir()
    monkeypatch.setenv("LIPFORGE_CACHE", str(workspace / "cache"))
    monkeypatch.setattr("pipeline.submit.shipment._weights", lambda names: [])
    return workspace


def bring(project: Path, job_id: str, nonce: str, exit_code: int = 0, **files: str) -> SideStore:
    """Have the results of a job: a report and a note."""
    store = SideStore(str(project / "cache"))
    names = {"reports/report.html": "page", "data/again/faces.json": "{}", **files}
    facts = {}
    for name, text in names.items():
        store.write(f"runs/{job_id}/files/{name}", text.encode())
        (project / "one").write_text(text)
        sha256 = subprocess.check_output(["sha256sum", "one"], cwd=project, text=True).split()[0]
        facts[name] = {"bytes": len(text), "sha256": sha256}
    content = {"nonce": nonce, "exit_code": exit_code, "files": facts, "outs": []}
    text = json.dumps({**content, "digest": digest(content)})
    store.write(f"runs/{job_id}/manifest.json", text.encode())
    return store


def facts_of(project: Path, nonce: str = "n") -> dict[str, str]:
    return {"lipforge": json.dumps({"nonce": nonce, "cache": str(project / "cache")})}


def test_lines_are_printed_once_however_often_the_connection_is_lost(jobs, capsys):
    jobs.add("j", FACTS)
    jobs.lost_tails = [1, 0, 2, 2]
    assert Job(jobs.address, "j").follow() == "SUCCEEDED"
    out, err = capsys.readouterr()
    assert out == "one\ntwo\nthree\n"
    assert err.count("connection lost") == 4
    assert jobs.tails == 5


def test_a_job_that_ends_while_the_connection_is_lost_gives_its_whole_log(jobs, capsys):
    jobs.add("j", FACTS, status="FAILED")
    jobs.lost_tails = [1]
    assert Job(jobs.address, "j").follow() == "FAILED"
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_a_connection_that_is_lost_for_good_ends_with_how_to_attach(jobs, capsys):
    jobs.add("j", FACTS)
    job = Job(jobs.address, "j")
    jobs.lost_requests = 10**6
    with pytest.raises(ClusterError, match=r"lipforge submit --attach j"):
        job.follow()
    assert capsys.readouterr().err.count("connection lost") == ATTEMPTS - 1


def test_a_dashboard_that_gives_no_answer_is_given_up(jobs, monkeypatch):
    jobs.add("j", FACTS)
    job = Job(jobs.address, "j")
    monkeypatch.setattr(job_client, "ANSWER_S", 0.02)
    monkeypatch.setattr(job_client, "ATTEMPTS", 3)
    monkeypatch.setattr(Job._patiently, "__defaults__", (0.02,))
    jobs.hangs = True
    with pytest.raises(ClusterError, match="lost after 3 attempts"):
        job.status()
    jobs.hangs = False


def test_a_lost_answer_to_a_submission_does_not_start_the_job_twice(jobs):
    jobs.lost_answers = 1
    Job(jobs.address, "j").submit("x", {}, FACTS)
    assert list(jobs.jobs) == ["j"]


def test_an_id_that_is_taken_is_refused(jobs):
    jobs.add("j", {"lipforge": "another"})
    with pytest.raises(ClusterError, match="already; name another --id"):
        Job(jobs.address, "j").submit("x", {}, FACTS)


def test_a_job_that_the_cluster_does_not_know_is_said_at_once(jobs, capsys):
    with pytest.raises(ClusterError, match="knows no job j; was its head started anew"):
        Job(jobs.address, "j").follow()
    assert capsys.readouterr().err == ""


def test_an_address_without_a_jobs_api_is_one_line():
    with pytest.raises(ClusterError, match=r"no Jobs API answers .*ray\[default\]"):
        Job("http://127.0.0.1:1", "j")


def test_a_job_that_succeeded_brings_its_results(jobs, project, capsys):
    jobs.add("j", facts_of(project))
    bring(project, "j", "n")
    submit(address=jobs.address, attach="j")
    assert (project / "reports/report.html").read_text() == "page"
    assert (project / "cache/runs/j/fetched").exists()
    assert not (project / ".cache/jobs/j/files").exists()


@pytest.mark.parametrize("end", ["FAILED", "STOPPED"])
def test_a_job_that_did_not_succeed_is_an_error_and_brings_what_it_has(jobs, project, end):
    jobs.add("j", facts_of(project))
    jobs.end = end
    bring(project, "j", "n", exit_code=1)
    with pytest.raises(ClusterError, match=f"job j {end}: what it had made is here; it {end}"):
        submit(address=jobs.address, attach="j")
    assert (project / "reports/report.html").exists()


def test_success_without_results_is_no_success(jobs, project):
    jobs.add("j", facts_of(project))
    with pytest.raises(ClusterError, match="has no results"):
        submit(address=jobs.address, attach="j")


def test_results_of_an_older_job_of_that_name_are_not_taken(jobs, project):
    jobs.add("j", facts_of(project, "new"))
    bring(project, "j", "old")
    with pytest.raises(ClusterError, match="has no results"):
        submit(address=jobs.address, attach="j")
    assert not (project / "reports").exists()


def test_an_altered_result_is_refused_and_changes_nothing(jobs, project):
    jobs.add("j", facts_of(project))
    store = bring(project, "j", "n")
    store.write("runs/j/files/reports/report.html", b"pagX")
    with pytest.raises(StorageError, match="not what the job stored"):
        submit(address=jobs.address, attach="j")
    assert not (project / "reports").exists()
    assert not (project / "data").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("../escaped", "/tmp/escaped", "data/again/../../x", "pipeline/code.py", "dvc.yaml"),
        *(
            ".dvc/config",
            ".dvc/cache/files/md5/../../../x",
            "data/again\\..\\x",
            ".cache/root.json",
        ),
    ],
)
def test_a_result_outside_of_what_a_job_makes_is_refused(project, name):
    store = SideStore(str(project / "cache"))
    content = {"nonce": "n", "exit_code": 0, "files": {name: {}}, "outs": []}
    text = json.dumps({**content, "digest": digest(content)})
    store.write("runs/j/manifest.json", text.encode())
    with pytest.raises(StorageError, match="is no result of a job"):
        read_results(store, "j", "n")


def test_a_job_takes_code_and_parameters_and_nothing_else(project):
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    pack(project / "sent")
    found = [path for path in (project / "sent").rglob("*") if path.is_file()]
    code = {f"{name}/code.py" for name in ("pipeline", "stages", "trainers")}
    rest = {"dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config", ".cache/root.json"}
    assert {path.relative_to(project / "sent").as_posix() for path in found} == code | rest
    assert "no_scm = true" in (project / "sent/.dvc/config").read_text()
    own = json.loads((project / ".cache/root.json").read_text())
    assert json.loads((project / "sent/.cache/root.json").read_text()) == {**own, "lent": True}


def test_what_is_too_much_for_ray_is_named_before_it_is_sent(project, monkeypatch):
    monkeypatch.setattr("pipeline.submit.shipment.LIMIT_BYTES", 100)
    (project / "pipeline/large.bin").write_bytes(bytes(2000))
    with pytest.raises(ParamsError, match=r"the largest is pipeline/large.bin"):
        pack(project / "sent")


def test_only_our_variables_go_along(monkeypatch, project):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never")
    monkeypatch.setenv("LIPFORGE_RETRY", "no_face")
    monkeypatch.setenv("LIPFORGE_WEIGHTS", "/only/here")
    sent = runtime_env(project)["env_vars"]
    assert sent["LIPFORGE_RETRY"] == "no_face"
    assert sent["LIPFORGE_CACHE"] == str(project / "cache")
    assert not {"AWS_SECRET_ACCESS_KEY", "LIPFORGE_WEIGHTS"} & set(sent)


@pytest.mark.parametrize(
    ("cache", "source", "message"),
    [
        ("", "/videos", "needs LIPFORGE_CACHE"),
        (".cache/items", "/videos", "an absolute path of a folder"),
        ("s3://bucket/x", "videos", "is not sent along"),
    ],
)
def test_what_cannot_run_there_is_refused_here(workspace, monkeypatch, cache, source, message):
    monkeypatch.setenv("LIPFORGE_CACHE", cache)
    params = Params.model_validate({"ingest": {"source": source}})
    with pytest.raises(ParamsError, match=message):
        check_submittable(params)


def started(jobs: FakeJobs, project: Path, *words: str) -> "subprocess.Popen[str]":
    """Start the command as a user does."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_API_SERVER_ADDRESS": jobs.address}
    command = [sys.executable, "-m", "pipeline", "submit", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=project, env=variables, text=True, **pipes)


def test_ctrl_c_stops_the_job_and_the_exit_code_is_130(jobs, project):
    jobs.add("j", facts_of(project))
    jobs.stays = True
    with started(jobs, project, "--attach", "j") as process:
        assert process.stdout
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, jobs.stopped) == (130, ["j"])
    assert "j: STOPPED" in err


def test_ctrl_c_does_not_stop_a_job_of_another(jobs, project, monkeypatch):
    jobs.add("j", {"lipforge": "another's"})

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.submit.command._hand_over", interrupted)
    with pytest.raises(KeyboardInterrupt):
        submit(address=jobs.address, job_id="j")
    assert jobs.stopped == []


def test_the_exit_code_is_0_when_the_job_succeeded(jobs, project):
    jobs.add("j", facts_of(project))
    bring(project, "j", "n")
    with started(jobs, project, "--attach", "j") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == "one\ntwo\nthree\n"


def test_a_submission_runs_dvc_repro_with_the_arguments(jobs, project):
    with pytest.raises(ClusterError, match="has no results"):
        submit(["-f", "a b"], address=jobs.address, job_id="j")
    words = jobs.jobs["j"]["entrypoint"].partition(" j ")
    assert words[0] == "python -m pipeline.submit.job"
    assert words[2].endswith(" -f 'a b'")


def test_a_single_stage_is_refused_since_no_tables_are_sent(project):
    with pytest.raises(ParamsError, match="`-s` cannot be used"):
        submit(["-s", "faces"])


def test_a_place_of_the_tars_that_only_this_machine_has_is_refused(workspace, project, monkeypatch):
    monkeypatch.setenv("LIPFORGE_SHARDS", "tars")
    with pytest.raises(ParamsError, match="LIPFORGE_SHARDS=tars"):
        submit(["report"])
