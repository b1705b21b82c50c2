"""A film taken out of everything: nothing of it remains, and all else has the bytes it had."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.digest import file_sha256
from pipeline.engine.manifest import read_table
from pipeline.shards.reader import read_shards
from pipeline.tables.rows import Sample, Video
from pipeline.tables.run_tables import RunTables
from tests.object_store import BUCKET
from tests.pipeline.finished.conftest import curate

pytestmark = pytest.mark.slow


def film_with_samples(folder: Path) -> tuple[Video, set[str]]:
    tables = RunTables(folder / "data")
    samples = tables.rows("shards", Sample)
    film = next(v for v in tables.rows("ingest", Video) if v.video_id == samples[0].video_id)
    return film, {one.clip_id for one in samples if one.video_id == film.video_id}


def takedown(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["takedown", *arguments, "--yes"])
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert done.output.rstrip().endswith("absent")
    return done.output


def tars(folder: Path) -> dict[str, str]:
    shards = folder / "data/shards"
    return {str(one.relative_to(shards)): file_sha256(one) for one in shards.glob("*/*.tar")}


def traces_below(folder: Path, names: set[str]) -> list[str]:
    """Files whose bytes or names hold a name, but for the films and the list."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "takedowns.json" and "films" not in path.parts:
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content = repr(read_table(path)).encode()
            found += [str(path) for name in names if name.encode() in content or name in str(path)]
    return found


def test_nothing_remains_and_the_next_run_makes_the_same_shards(finished):
    film, samples = film_with_samples(finished)
    before, names = tars(finished), samples | {film.video_id}
    assert traces_below(finished, names)
    takedown(film.uri, "--date", "2026-11-27", "--reason", "asked")
    assert traces_below(finished, names) == []
    noted = json.loads((finished / "takedowns.json").read_text())["sources"]
    assert noted == {film.video_id: {"date": "2026-11-27", "reason": "asked"}}
    after, shards = tars(finished), sorted(map(str, (finished / "data/shards").glob("*/*.tar")))
    assert not samples & {one.clip_id for one in read_shards(shards)}
    assert sum(after.get(name) != sha256 for name, sha256 in before.items()) == 1
    index = (finished / "data/shards/index.json").read_bytes()
    curate(finished)
    assert tars(finished) == after
    assert (finished / "data/shards/index.json").read_bytes() == index
    (refused,) = [
        row for row in read_table(Path("data/ingest/videos.parquet")) if row["status"] == "rejected"
    ]
    assert (refused["item_id"], refused["reason"]) == (film.uri, "taken_down")
    assert refused["video_id"] is None


@pytest.mark.parametrize("by", ["video_id", "speaker"])
def test_a_film_is_found_by_its_digest_and_a_person_by_a_label(finished, by):
    film, samples = film_with_samples(finished)
    name = film.video_id[:16]
    if by == "speaker":
        name = "somebody"
        label(finished / "data/faces/clips.parquet", film.video_id, name)
    done = CliRunner().invoke(app, ["takedown", name])
    assert done.exit_code == 1
    assert "nothing removed" in done.output
    assert f"{len(samples)} samples" in done.output
    assert film.uri in done.output


def label(table: Path, video_id: str, person: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {**row, "person": person if row["video_id"] == video_id else "another"}
        for row in read_table(table)
    ]
    pq.write_table(pa.Table.from_pylist(rows), table)


def test_a_name_that_nothing_has_is_said_to_be_none(finished):
    done = CliRunner().invoke(app, ["takedown", "nobody"])
    assert "no film has this" in str(done.exception)
    assert "no persons are labelled" not in str(done.exception), "`select` has labelled them"


def test_readers_leave_out_at_once_what_is_only_excluded(finished):
    film, samples = film_with_samples(finished)
    shards = sorted(map(str, (finished / "data/shards").glob("*/*.tar")))
    before = {one.clip_id for one in read_shards(shards)}
    done = CliRunner().invoke(app, ["takedown", film.uri, "--exclude-only"])
    assert done.exit_code == 0
    assert {one.clip_id for one in read_shards(shards)} == before - samples
    from trainers.data.index import index_shards

    assert set(index_shards(shards).clip_ids.tolist()) == before - samples
    takedown(film.uri)
    listed = json.loads((finished / "data/shards/exclude.json").read_text())
    assert listed == {"version": 1, "samples": [], "sources": []}


KILLED = """
import os, signal, sys
from pipeline.takedown import work
steps = int(sys.argv.pop(1))
carry_out = work.carry_out
def killed(plan):
    for number, step in enumerate(carry_out(plan)):
        if number == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        yield step
import pipeline.takedown.command as command
command.carry_out = killed
from pipeline.cli import main
main()
"""


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_killed_in_the_middle_the_next_call_completes_it(finished, steps):
    film, samples = film_with_samples(finished)
    command = [sys.executable, "-c", KILLED, str(steps), "takedown", film.uri, "--yes"]
    killed = subprocess.run(command, cwd=finished, env=os.environ, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert "which was begun" in takedown(film.uri)
    assert traces_below(finished, samples | {film.video_id}) == []
    assert not (finished / ".cache/takedown.json").exists()


def test_a_bucket_with_shards_and_a_remote_cache_are_cleaned_too(finished, store, monkeypatch):
    mine = f"{BUCKET}/takedown-{time.monotonic_ns()}"
    monkeypatch.setenv("LIPFORGE_SHARDS", f"s3://{mine}/set")
    monkeypatch.setenv("LIPFORGE_CACHE", f"s3://{mine}/items")
    curate(finished)
    film, samples = film_with_samples(finished)
    names = samples | {film.video_id}
    fs = fsspec.filesystem("s3")

    def named() -> list[str]:
        fs.invalidate_cache()
        return [p for p in fs.find(mine) if any(n.encode() in fs.cat_file(p) for n in names)]

    assert named()
    takedown(film.video_id)
    assert named() == []
