"""`lipforge submit`: from a laptop to a cluster and back."""

import json
import os
import re
import secrets
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline.engine.side_store import SideStore
from pipeline.errors import ClusterError, ParamsError
from pipeline.params.curation import load_params
from pipeline.submit.job_client import TERMINAL, Job
from pipeline.submit.results import fetch, read_results
from pipeline.submit.shipment import check_submittable, metadata, pack, runtime_env

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
DEFAULT_TARGET = ["report"]
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def submit(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Of `dvc repro`, behind `--`; default: report.")
    ] = None,
    address: Annotated[
        str,
        typer.Option(help="The dashboard; default RAY_API_SERVER_ADDRESS, else port 8265 here."),
    ] = "",
    job_id: Annotated[str, typer.Option("--id", help="Name of the job; default a new one.")] = "",
    attach: Annotated[str, typer.Option(help="Follow this job and fetch its results.")] = "",
    weights: Annotated[
        list[str], typer.Option(help="Model file on demand to take along (syncnet_v2.model).")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Run `dvc repro` as a job of a Ray cluster, follow it, and bring its results here."""
    if attach and (job_id or arguments or weights):
        raise ParamsError("--attach ID goes with --address alone: the job has been submitted")
    name = attach or job_id or f"lipforge-{secrets.token_hex(4)}"
    if not _ID.fullmatch(name):
        raise ParamsError(f"{name!r}: an id is 1 to 64 letters, digits, `_`, `.` and `-`")
    if not attach:
        _check_arguments(arguments or [])
        check_submittable(load_params())
    job, nonce = Job(_address(address), name), secrets.token_hex(8)
    try:
        if not attach:
            _hand_over(job, nonce, arguments or DEFAULT_TARGET, weights)
        status = job.follow()
    except KeyboardInterrupt:
        if attach or job.is_mine(metadata(nonce)):
            _stop(job)
        raise
    _bring_back(job, status)


def _address(given: str) -> str:
    address = given or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS
    address = address if "://" in address else f"http://{address}"
    if not address.startswith(("http://", "https://")):
        raise ParamsError(f"--address {address}: must be the dashboard's, http://HEAD:8265")
    return address.rstrip("/")


def _check_arguments(arguments: list[str]) -> None:
    """Refuse what needs the tables of earlier stages: they are not sent, but made from the cache.

    Raises:
        ParamsError: `-s` or `--single-item` is among the arguments.
    """
    if {"-s", "--single-item"} & {*arguments}:
        fix = "without it what is cached is not computed again"
        raise ParamsError(f"lipforge submit: `-s` cannot be used, no tables are sent; {fix}")


def _hand_over(job: Job, nonce: str, arguments: list[str], weights: list[str]) -> None:
    command = ["python", "-m", "pipeline.submit.job", job.id, nonce, *arguments]
    with tempfile.TemporaryDirectory(prefix="lipforge-submit-") as name:
        pack(Path(name), weights)
        job.submit(shlex.join(command), runtime_env(Path(name)), metadata(nonce))
    sys.stderr.write(f"submitted {job.id} to {job.address}; `--attach {job.id}` finds it again\n")


def _stop(job: Job) -> None:
    """Stop the job; where that fails, say so and how to do it."""
    sys.stderr.write(f"stopping {job.id} ...\n")
    fix = f"`ray job stop {job.id} --address {job.address}`"
    try:
        status = job.stop()
    except ClusterError as error:
        sys.stderr.write(f"{job.id} may go on: {error}; {fix}\n")
    else:
        ended = status in TERMINAL
        sys.stderr.write(f"{job.id}: {status}\n" if ended else f"{job.id} goes on; {fix}\n")


def _bring_back(job: Job, status: str) -> None:
    """Fetch what the job has brought, whether it succeeded or not.

    Raises:
        ClusterError: it has not SUCCEEDED, or brought nothing.
        StorageError: results cannot be fetched; the command with --attach tries again.
    """
    facts = _facts(job)
    store = SideStore(facts["cache"])
    results = read_results(store, job.id, facts["nonce"])
    if results is not None:
        fetch(store, job.id, results)
        sys.stderr.write(f"{job.id}: {len(results.files)} files of results are here\n")
    if status != "SUCCEEDED":
        said = "" if results is None else "what it had made is here; "
        raise ClusterError(f"job {job.id} {status}: {said}{job.reason()}")
    if results is None or results.exit_code != 0:
        raise ClusterError(f"job {job.id} SUCCEEDED, but {store.where} has no results of it")


def _facts(job: Job) -> dict[str, str]:
    try:
        found = json.loads(job.metadata()["lipforge"])
        return {"nonce": str(found["nonce"]), "cache": str(found["cache"])}
    except (KeyError, ValueError, TypeError) as error:
        raise ClusterError(f"job {job.id} was not submitted by `lipforge submit`") from error
