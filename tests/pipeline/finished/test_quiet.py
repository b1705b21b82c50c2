"""Silent and listening clips, packed apart: the talking shards are the same with and without."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.digest import file_sha256
from pipeline.engine.manifest import each_kept_row, read_table
from pipeline.shards.reader import read_shards
from pipeline.tables.rows import QuietSample
from pipeline.tables.run_tables import quiet_table
from pipeline.validation.set_checks import SetValidation, ValidationOptions
from tests.media import Sound, write_video
from tests.pipeline.finished.conftest import VIDEOS, curate, enter_copy, write_params
from trainers.data.shard_urls import curated_urls, shard_urls

pytestmark = pytest.mark.slow
SOME = ("anna/interview.mp4", "silent/mouth shut.mp4")


@pytest.fixture(scope="module")
def with_quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on one who talks, one who hears a voice, and the latter in a quiet room."""
    from pipeline.demo.catalogue import FILMS
    from pipeline.demo.corpus import render_files
    from pipeline.media.frames import frames_at_25fps

    folder = tmp_path_factory.mktemp("quiet")
    films = [film for film in FILMS if film.uri in SOME]
    assert len(films) == len(SOME)
    render_files(folder / "corpus", films, [])
    shutil.move(folder / "corpus" / "videos", folder / VIDEOS)
    frames = list(frames_at_25fps(folder / VIDEOS / SOME[1]))
    noise = np.random.default_rng(0).normal(0, 0.002, (1, len(frames) * 640)).astype(np.float32)
    mirrored = (one[:, ::-1] for one in frames)  # else it would be a copy of the other film's face
    times = [k / 25 for k in range(len(frames))]
    write_video(folder / VIDEOS / "quiet room.mp4", mirrored, times, Sound(noise))
    write_params(folder)
    curate(folder)
    return folder


@pytest.fixture
def run(with_quiet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run as the working directory."""
    return enter_copy(with_quiet, tmp_path, monkeypatch)


def samples(folder: Path) -> dict[str, QuietSample]:
    return {one.tier: one for one in each_kept_row(quiet_table(folder / "data"), QuietSample)}


def talking(folder: Path) -> dict[str, str]:
    files = [*folder.glob("data/shards/t*/*.tar"), folder / "data/shards/index.json"]
    return {str(one.relative_to(folder)): file_sha256(one) for one in [*files]}


def test_both_kinds_are_found_and_say_that_nobody_knows_their_offset(run):
    assert samples(run).keys() == {"silent", "listening"}
    tars = sorted(map(str, run.glob("data/shards/quiet/*/*.tar")))
    for one in read_shards(tars):
        facts = one.facts
        assert facts["rejected_for"] in ("no_speech", "mouth_still", "foreign_sound")
        unknown = ("offset_applied_frames", "sync", "rescored", "probability")
        assert [facts[name] for name in unknown] == [None] * 4
        assert len(one.audio) == 640 * len(one.frames)
    (silent,) = read_shards(tars, tier="silent")
    assert silent.facts["quality"]["speech_share"] == 0


def test_their_rows_stay_rejected_and_counts_add_up(run):
    rows = [one for one in read_table(run / "data/select/select.parquet") if one["tier"]]
    quiet = {one["clip_id"] for one in rows if one["status"] == "rejected"}
    assert quiet == {one.clip_id for one in samples(run).values()}
    counted = json.loads((run / "reports/funnel.json").read_text())["tiers"]
    assert [counted[tier]["clips"] for tier in ("silent", "listening")] == [1, 1]
    index = json.loads((run / "data/shards/quiet/index.json").read_text())
    assert index["tiers"] == {"silent": 1, "listening": 1}
    talk = json.loads((run / "data/shards/index.json").read_text())
    assert talk["tiers"]["base"] == sum(one["samples"] for one in talk["shards"])


def test_the_talking_shards_have_the_same_bytes_without_them(run):
    before = talking(run)
    params = run / "params.yaml"
    params.write_text(params.read_text().replace("quiet_tiers: true", "quiet_tiers: false"))
    curate(run, ("select", "shards"))
    assert talking(run) == before
    assert not (run / "data/shards/quiet").exists()
    params.write_text(params.read_text().replace("quiet_tiers: false", "quiet_tiers: true"))
    curate(run, ("shards",))
    assert samples(run).keys() == {"silent", "listening"}


def test_no_reader_of_the_shards_meets_them_unless_it_names_them(run):
    shards = run / "data/shards"
    quiet = {str(one) for one in shards.glob("quiet/*/*.tar")}
    for found in (shard_urls(shards), curated_urls(shards)):
        assert found
        assert not {one.removeprefix("file://") for one in found} & quiet
    assert len(shard_urls(shards / "quiet")) == len(quiet)


def test_validation_sees_both_and_a_film_on_two_sides(run):
    shards = str(run / "data/shards")
    found = SetValidation(shards, ValidationOptions(rescored=0)).run()
    assert found.found == []
    assert found.checked["sound"] >= 3
    quiet = SetValidation(f"{shards}/quiet", ValidationOptions()).run()
    assert (quiet.found, quiet.checked["offset"]) == ([], 0)


def test_export_says_that_they_stay_and_refuses_to_write_them(run):
    done = CliRunner().invoke(app, ["export", "folders", "out"])
    assert done.exit_code == 0, done.output
    assert "2 silent and listening clips stay in quiet/" in done.output
    done = CliRunner().invoke(app, ["export", "folders", "more", "--shards", "data/shards/quiet"])
    assert "these layouts are of clips that talk" in str(done.exception)


def test_their_recipe_gives_their_bytes_again(run, tmp_path):
    assert CliRunner().invoke(app, ["recipe", "quiet.jsonl", "--quiet"]).exit_code == 0
    out = tmp_path / "again"
    arguments = ["rehydrate", "quiet.jsonl", "--videos", VIDEOS, "--out", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    for tar in (run / "data/shards/quiet").glob("*/*.tar"):
        name = tar.relative_to(run / "data/shards/quiet")
        assert file_sha256(out / name) == file_sha256(tar)


def test_a_film_taken_down_leaves_the_quiet_tars_too(run):
    persons = {row["person"] for row in read_table(run / "data/select/select.parquet")}
    names = [one for one in samples(run).values() if one.clip_id not in persons]
    gone = names[0]  # of whom no other clip has the name
    (stays,) = samples(run).keys() - {gone.tier}
    before = talking(run)
    done = CliRunner().invoke(app, ["takedown", gone.video_id, "--yes"])
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert done.output.rstrip().endswith("absent")
    assert samples(run).keys() == {stays}
    index = json.loads((run / "data/shards/quiet/index.json").read_text())
    assert index["tiers"] == {stays: 1}
    assert SetValidation(str(run / "data/shards"), ValidationOptions(rescored=0)).run().found == []
    assert talking(run) == before


def test_an_excluded_film_is_left_out_of_the_quiet_tars_too(run):
    gone = samples(run)["listening"]
    done = CliRunner().invoke(app, ["takedown", gone.video_id, "--yes", "--exclude-only"])
    assert done.exit_code == 0, done.output
    tars = sorted(map(str, run.glob("data/shards/quiet/*/*.tar")))
    assert gone.clip_id not in {one.clip_id for one in read_shards(tars)}
