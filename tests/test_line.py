"""The whole line by `dvc repro`, as a user runs it, on the first films of the demo corpus."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import fsspec
import pytest

from pipeline.digest import file_sha256
from pipeline.engine.manifest import read_table
from pipeline.shards.reader import read_shards
from pipeline.tables.funnel import funnel
from pipeline.tables.run_tables import TABLES, RunTables, table_path
from tests.conftest import ROOT
from tests.object_store import BUCKET

BIN = Path(sys.executable).parent
CURATION = ("report", "truth")
"""Ends of the line's first half; the trainers have tests of their own."""
FAILED_SHARE = "max_failed_fraction: 0.4"
"""Two of the six inputs are broken on purpose."""


class Workspace:
    """A fresh clone, its params pointing at `videos`."""

    def __init__(self, folder: Path, videos: Path, **environment: str) -> None:
        self.folder, self.videos = folder, videos
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "LIPFORGE_WEIGHTS": str(ROOT / ".cache" / "weights"),
            "PYTHONPATH": str(folder),
            **environment,
        }
        for name in ("pipeline", "stages"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, folder / name)
        changes = {"data/demo/videos": str(videos), "max_failed_fraction: 0.25": FAILED_SHARE}
        self.set_params(changes)
        self.run("dvc", "init", "--no-scm", "-q")
        self.run("dvc", "config", "core.analytics", "false")

    def set_params(self, changes: dict[str, str]) -> None:
        path = self.folder / "params.yaml"
        text = (path if path.exists() else ROOT / "params.yaml").read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)

    def run(self, *command: str) -> str:
        done = self.attempt(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def attempt(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def begin(self, *command: str, log: IO[str]) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            text=True,
        )

    def hashes(self) -> dict[str, str]:
        """The SHA-256 of every table, tar, card and metric."""
        paths = [p for top in ("data", "reports") for p in (self.folder / top).rglob("*")]
        chosen = [p for p in paths if p.is_file() and not {"demo", "again"} & {*p.parts}]
        return {str(p.relative_to(self.folder)): file_sha256(p) for p in chosen}

    def computed(self) -> dict[str, int]:
        """How many items each stage has computed, not found in the cache, so far."""
        lines = (self.folder / ".cache/events.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        fresh = [e["stage"] for e in events if e["event"] == "item" and not e["cached"]]
        return {stage: fresh.count(stage) for stage in set(fresh)}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Three films, a copy, an empty file and a text file, with names that hurt."""
    from pipeline.demo.corpus import render_corpus

    corpus = tmp_path_factory.mktemp("corpus") / "demo"
    render_corpus(corpus, videos=3)
    folder = corpus / "videos"
    first = sorted(path for path in folder.rglob("*") if path.is_file())[0]
    (folder / "zero.mp4").touch()
    (folder / "$(touch x) '\"\n.mp4").write_text("not a video")
    (folder / "other").mkdir()
    shutil.copy(first, folder / "other" / first.name)
    return folder


@pytest.fixture(scope="module")
def first_run(videos, tmp_path_factory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("one"), videos, LIPFORGE_WORKERS="2")
    workspace.run("dvc", "repro", *CURATION)
    return workspace


def test_every_input_is_kept_rejected_or_failed_and_the_counts_add_up(first_run):
    content = funnel(RunTables(first_run.folder / "data"))
    assert content["sources"] == 6
    for stage in content["stages"]:
        endings = [stage[name] for name in ("kept", "rejected", "failed", "quarantined")]
        assert stage["in"] == sum(endings)
    ingest = content["stages"][0]
    assert ingest["reasons"]["rejected"] == {"duplicate": 1}
    assert ingest["reasons"]["failed"] == {"empty_file": 1, "not_media": 1}
    assert content["stages"][-1]["kept"] >= 2


def test_the_shards_hold_the_selected_clips_in_sync(first_run):
    shards = first_run.folder / "data" / "shards"
    index = json.loads((shards / "index.json").read_text())
    samples = [s for e in index["shards"] for s in read_shards(str(shards / e["name"]))]
    rows = [r for r in read_table(shards / "samples.parquet") if r["status"] == "kept"]
    assert sorted(s.clip_id for s in samples) == sorted(r["clip_id"] for r in rows)
    assert all(len(s.audio) == 640 * len(s.frames) == 640 * len(s.landmarks) for s in samples)
    assert all(abs(s.facts["rescored"]["offset_frames"]) <= 1 for s in samples)


def test_one_worker_another_folder_and_another_time_zone_give_the_same_bytes(
    first_run, videos, tmp_path
):
    moved = tmp_path / "elsewhere" / "clips"
    shutil.copytree(videos, moved, copy_function=shutil.copy)
    workspace = tmp_path / "two"
    workspace.mkdir()
    other = Workspace(workspace, moved, LIPFORGE_WORKERS="1", TZ="Asia/Tokyo")
    other.run("dvc", "repro", *CURATION)
    ours, theirs = first_run.hashes(), other.hashes()
    assert {name for name in ours if ours[name] != theirs.get(name)} <= {"reports/report.html"}
    assert any(name.endswith(".tar") for name in ours)


def test_a_second_repro_computes_nothing_and_a_new_threshold_decodes_nothing(first_run):
    before, tables = first_run.computed(), first_run.hashes()
    first_run.run("dvc", "repro", *CURATION)
    assert first_run.computed() == before
    assert first_run.hashes() == tables
    first_run.set_params({"min_face_px: 64": "min_face_px: 5000"})
    first_run.run("dvc", "repro", *CURATION)
    after = first_run.computed()
    assert {k: v for k, v in after.items() if k != "shards"} == {
        k: v for k, v in before.items() if k != "shards"
    }
    lines = {one["stage"]: one for one in funnel(RunTables(first_run.folder / "data"))["stages"]}
    assert lines["select"]["kept"] == 0
    first_run.set_params({"min_face_px: 5000": "min_face_px: 64"})
    first_run.run("dvc", "repro", *CURATION)
    assert first_run.hashes() == tables


def cached(run: Workspace, row: dict[str, object], suffix: str) -> Path:
    key = str(row["artifact"])
    return run.folder / ".cache/items" / key[:2] / key / f"{row['clip_id']}.{suffix}"


def kept(run: Workspace, stage: str) -> list[dict[str, object]]:
    rows = read_table(table_path(run.folder / "data", stage))
    return [row for row in rows if row["status"] == "kept"]


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_one_flipped_bit_in_the_cache_is_found_said_and_healed(first_run):
    clip, tables = kept(first_run, "faces")[0], first_run.hashes()
    files = [cached(first_run, clip, suffix) for suffix in ("mp4", "flac", "npz")]
    whole = [path.read_bytes() for path in files]
    for path in files:
        flip_a_bit(path)
    first_run.set_params({"vad_threshold: 0.5 ": "vad_threshold: 0.51 "})
    try:
        assert str(files[0]) in first_run.run("dvc", "repro", "-s", "quality")
        rows = read_table(table_path(first_run.folder / "data", "quality"))
        bad = {row["item_id"]: row["reason"] for row in rows if row["status"] != "kept"}
        assert bad == {clip["clip_id"]: "damaged_cache"}
        assert "Running stage 'faces'" in first_run.run("dvc", "repro", "quality")
        assert len(kept(first_run, "quality")) == len(rows)
        assert [path.read_bytes() for path in files] == whole
    finally:
        first_run.set_params({"vad_threshold: 0.51 ": "vad_threshold: 0.5 "})
        first_run.run("dvc", "repro", "quality")
    assert first_run.hashes() == tables


def test_a_damaged_sample_is_made_again_before_it_is_packed(first_run):
    path, tables = cached(first_run, kept(first_run, "shards")[0], "mp4"), first_run.hashes()
    tar = first_run.folder / "data" / "shards" / kept(first_run, "shards")[0]["shard"]
    flip_a_bit(path)
    tar.unlink()  # one that is there and right is not packed again
    assert str(path) in first_run.run("dvc", "repro", "-f", "-s", "shards")
    assert first_run.hashes() == tables


def test_one_added_video_is_the_only_one_computed(first_run, videos):
    before = first_run.computed()
    tars = {name: sha for name, sha in first_run.hashes().items() if name.endswith(".tar")}
    source = next(path for path in sorted(videos.rglob("*.mp4")) if path.stat().st_size > 1000)
    added = videos / "added.mp4"
    added.write_bytes(source.read_bytes() + b"\0\0\0\x08free")
    try:
        first_run.run("dvc", "repro", *CURATION)
        after = first_run.computed()
        assert {s: after.get(s, 0) - before.get(s, 0) for s in ("ingest", "scenes", "faces")} == {
            "ingest": 1,
            "scenes": 1,
            "faces": 0,  # `scenes` has cut them in the same pass
        }
        changed = [n for n, sha in first_run.hashes().items() if tars.get(n, sha) != sha]
        assert len(changed) <= 1
    finally:
        added.unlink()


@pytest.mark.slow
def test_a_second_machine_goes_on_from_dvc_pull_and_a_shared_cache_without_the_films(
    first_run, videos, tmp_path, store
):
    """The item cache lies in a bucket; a threshold of `select` is changed there."""
    s3 = fsspec.filesystem("s3")
    s3.put(f"{first_run.folder}/.cache/items/", f"{BUCKET}/items/", recursive=True)
    first_run.run("dvc", "remote", "add", "-f", "-d", "pool", str(tmp_path / "pool"))
    first_run.run("dvc", "push", "-q", "ingest", "scenes", "faces", "sync", "stretches", "quality")
    first_run.run("dvc", "push", "-q", "demo", "select", "shards")
    there = {"LIPFORGE_CACHE": f"s3://{BUCKET}/items", "LIPFORGE_SCRATCH": str(tmp_path / "s")}
    second = Workspace(tmp_path / "two", videos, LIPFORGE_WORKERS="2", **there)
    shutil.copy(first_run.folder / "dvc.lock", second.folder)
    second.run("dvc", "remote", "add", "-d", "pool", str(tmp_path / "pool"))
    parts = kept(first_run, "select")
    shortest = min(row["end_frame"] - row["start_frame"] for row in parts)
    limit = f"min_seconds: {(shortest + 1) / 25} # of what"
    strict = {"min_seconds: 3.0             # of what": limit}
    away = videos.with_name("away")
    videos.rename(away)
    try:
        second.run("dvc", "pull", "-q", "demo", *TABLES)
        refused = second.attempt("dvc", "repro", "report")
        assert refused.returncode != 0
        assert "does not exist" in refused.stderr
        assert "set LIPFORGE_SOURCE=absent" in refused.stderr
        second.environment["LIPFORGE_SOURCE"] = "absent"
        second.set_params(strict)
        said = second.run("dvc", "repro", "report")
    finally:
        away.rename(videos)
    ran = re.findall(r"Running stage '(\w+)'", said)
    assert ran == ["ingest", "select", "shards", "report"]
    assert set(second.computed()) <= {"shards", "tars"}
    first_run.set_params(strict)
    try:
        first_run.run("dvc", "repro", "report")
        assert second.hashes() == {
            name: sha for name, sha in first_run.hashes().items() if "truth" not in name
        }
    finally:
        first_run.set_params({new: old for old, new in strict.items()})
        first_run.run("dvc", "repro", *CURATION)


def test_a_wrong_param_stops_before_any_work(first_run):
    first_run.set_params({"min_sharpness:": "min_sharpnes:"})
    try:
        done = first_run.attempt("lipforge", "run", "ingest")
        assert done.returncode == 1
        assert "select.min_sharpnes: unknown key" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        first_run.set_params({"min_sharpnes:": "min_sharpness:"})


def test_status_and_inspect_show_what_became_of_a_clip(first_run):
    assert "duplicate 1" in first_run.run("lipforge", "status")
    clip = read_table(table_path(first_run.folder / "data", "faces"))[0]["clip_id"]
    shown = first_run.run("lipforge", "inspect", clip[:8])
    assert all(stage in shown for stage in TABLES if stage not in ("ingest", "scenes", "shards"))


def test_too_many_broken_inputs_stop_the_line_and_leave_no_table(first_run, tmp_path):
    strict = Workspace(tmp_path, first_run.videos)
    strict.set_params({FAILED_SHARE: "max_failed_fraction: 0.1"})
    done = strict.attempt("lipforge", "run", "ingest")
    assert done.returncode == 1
    assert "2 of 6 items failed" in done.stderr
    assert not (tmp_path / "data/ingest/videos.parquet").exists()
    assert len(read_table(tmp_path / "data/ingest/videos.failed.parquet")) == 6


def test_an_empty_folder_is_the_users_error(first_run, tmp_path):
    first_run.set_params({str(first_run.videos): str(tmp_path)})
    try:
        done = first_run.attempt("lipforge", "run", "ingest")
        assert done.returncode == 1
        assert "no file below" in done.stderr
    finally:
        first_run.set_params({f"source: {tmp_path}": f"source: {first_run.videos}"})
