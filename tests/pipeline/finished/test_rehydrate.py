"""A recipe, and the shards rebuilt from it and from copies of the films."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.digest import file_sha256
from pipeline.recipe.record import Recipe
from tests.pipeline.finished.conftest import VIDEOS

pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(finished: Path) -> Path:
    """The run's recipe, outside of it."""
    path = finished.parent / "recipe.jsonl"
    assert CliRunner().invoke(app, ["recipe", str(path)]).exit_code == 0
    return path


def rehydrate(recipe: Path, videos: Path, out: Path) -> tuple[int, dict]:
    arguments = ["rehydrate", str(recipe), "--videos", str(videos), "--out", str(out)]
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, json.loads((out / "rehydrated.json").read_text())


def contents(shards: Path) -> dict[str, str]:
    files = [*shards.glob("*/*.tar"), shards / "index.json"]
    return {str(path.relative_to(shards)): file_sha256(path) for path in files}


def renamed(films: Path, to: Path) -> Path:
    to.mkdir()
    for number, film in enumerate(sorted(films.rglob("*.m*"))):
        shutil.copy(film, to / f"{number}.bin")
    return to


def test_the_shards_are_rebuilt_byte_for_byte_from_films_of_other_names(finished, recipe, tmp_path):
    films = renamed(finished / VIDEOS, tmp_path / "mine")
    code, report = rehydrate(recipe, films, tmp_path / "out")
    assert (code, report["differs"], report["missing"]) == (0, 0, 0)
    assert report["identical"] == report["samples"] > 3
    assert contents(tmp_path / "out") == contents(finished / "data/shards")
    assert not (tmp_path / "out/.rehydrate").exists()


def test_what_is_missing_or_other_is_named_and_comes_when_the_film_does(finished, recipe, tmp_path):
    films = tmp_path / "some"
    shutil.copytree(finished / VIDEOS, films)
    gone, other = sorted(path for path in films.rglob("*.m*"))[:2]
    kept = gone.read_bytes()
    gone.unlink()
    with other.open("ab") as file:
        file.write(b"other bytes")
    code, report = rehydrate(recipe, films, tmp_path / "out")
    assert code == 1
    assert report["identical"] + report["differs"] + report["missing"] == report["samples"]
    assert len(report["missing_films"]) == 2
    assert list(report["namesakes"].values()) == [str(other.relative_to(films))]
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert sum(one["samples"] for one in index["shards"]) == report["identical"] > 0
    gone.write_bytes(kept)
    other.write_bytes(other.read_bytes().removesuffix(b"other bytes"))
    code, report = rehydrate(recipe, films, tmp_path / "out")
    assert (code, report["identical"]) == (0, report["samples"])
    assert contents(tmp_path / "out") == contents(finished / "data/shards")


def test_a_sample_whose_record_was_altered_differs_and_is_not_packed(finished, recipe, tmp_path):
    lines = recipe.read_text().splitlines(keepends=True)
    altered = json.loads(lines[1])
    altered["matrices"][5][2] += 0.5
    recipe.write_text("".join([lines[0], json.dumps(altered) + "\n", *lines[2:]]))
    code, report = rehydrate(recipe, finished / VIDEOS, tmp_path / "out")
    assert (code, report["differs"]) == (1, 1)
    assert set(report["differing"][altered["clip_id"]].split(": ")[1].split(", ")) == {"mp4", "npz"}


def test_a_recipe_is_the_same_every_time_and_holds_no_path_sound_or_picture(finished, recipe):
    again = finished / "again.jsonl"
    assert CliRunner().invoke(app, ["recipe", str(again)]).exit_code == 0
    assert again.read_bytes() == recipe.read_bytes()
    text = recipe.read_text()
    assert str(finished) not in text
    opened = Recipe.open(recipe)
    samples = list(opened.samples())
    tars = sum(one["bytes"] for one in opened.header.index["shards"])
    assert len(text) < tars / 20
    for one in samples:
        assert set(one.points) == {0}, "the first frame alone: none was interpolated"
        assert not {"landmarks", "boxes"} & one.arrays.keys()


def test_a_recipe_of_other_parameters_than_the_clips_were_made_with_is_refused(finished):
    params = finished / "params.yaml"
    params.write_text(params.read_text().replace("crf: 14 ", "crf: 15 "))
    done = CliRunner().invoke(app, ["recipe", "r.jsonl"])
    assert "params.yaml, a library or a network is not what clip" in str(done.exception)
