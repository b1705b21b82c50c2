"""The recipe's file reads back to the bit, and refuses what it does not know."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import ManifestError
from pipeline.faces.alignment import similarity, to_canvas, to_square
from pipeline.recipe.record import CORRECTIONS, Recipe, RecipeHeader, SampleRecord, write_recipe
from pipeline.recipe.versions import other_versions
from pipeline.recipe.writing import check_sources, not_following
from pipeline.shards.tar import MEMBERS
from pipeline.tables.rows import Video

TAR = "train/train-0000-000.tar"
HEADER = RecipeHeader(
    index={"shards": [{"name": TAR, "sha256": "0"}]}, faces={}, versions={}, weights={}, samples=1
)
FACTS = {
    "video": {"video_id": "v", "uri": "a.mp4", "url": "", "size_bytes": 1, "num_frames": 9},
    "clip": {"start_frame": 1, "num_frames": 6},
    "split": "train",
    "part_start_frame": 3,
    "part_end_frame": 7,
    "offset_applied_frames": 0.5,
    "drift_applied_frames": 0.0,
    "score": 1 / 3,
}


def record() -> SampleRecord:
    rng = np.random.default_rng(0)
    return SampleRecord(
        clip_id="c",
        shard=TAR,
        start_frame=3,
        end_frame=7,
        facts=FACTS,
        matrices=rng.normal(size=(6, 2, 3)) * math.pi,
        points={0: rng.normal(size=(5, 3)).astype(np.float32)},
        arrays={"interpolated": np.array([True, False]), "scores": np.ones(2, np.float32)},
        members={one: {"bytes": 1, "sha256": "0"} for one in MEMBERS},
    )


def test_a_sample_reads_back_to_the_bit_and_is_written_the_same_again(tmp_path):
    one, path = record(), tmp_path / "r.jsonl"
    assert write_recipe(path, HEADER, [one]) == 1
    (read,) = Recipe.open(path).samples()
    assert np.array_equal(read.matrices, one.matrices)
    assert read.points[0].dtype == np.float32
    assert np.array_equal(read.points[0], one.points[0])
    assert read.arrays["interpolated"].dtype == np.bool_
    assert read.to_json() == json.loads(json.dumps(one.to_json()))
    write_recipe(tmp_path / "again.jsonl", HEADER, [read])
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json\n", "no recipe of lipforge"),
        ('{"format": "lipforge-recipe", "format_version": 2}\n', "lipforge-recipe 2; this"),
        ('{"format": "lipforge-recipe", "format_version": 1}\n', "its header has no 'index'"),
    ],
)
def test_another_file_is_no_recipe(tmp_path, text, message):
    (tmp_path / "r.jsonl").write_text(text)
    with pytest.raises(ManifestError, match=message):
        Recipe.open(tmp_path / "r.jsonl")


def test_a_recipe_that_was_cut_or_holds_other_types_is_refused(tmp_path):
    path = tmp_path / "r.jsonl"
    write_recipe(path, HEADER, [])
    with pytest.raises(ManifestError, match="0 samples, its header says 1"):
        list(Recipe.open(path).samples())
    line = record().to_json()
    line["arrays"]["scores"]["dtype"] = "|O"
    path.write_text("".join(json.dumps(one) + "\n" for one in (HEADER.to_json(), line)))
    with pytest.raises(ManifestError, match=r"r.jsonl:2: no sample: ValueError"):
        list(Recipe.open(path).samples())


def test_a_recipe_names_no_file_outside_of_the_output(tmp_path):
    path = tmp_path / "r.jsonl"
    out = replace(HEADER, index={"shards": [{"name": "../x"}]})
    write_recipe(path, out, [])
    with pytest.raises(ManifestError, match=r"index: a shard whose `name` is '\.\./x'"):
        Recipe.open(path)
    write_recipe(path, HEADER, [replace(record(), clip_id="../c")])
    with pytest.raises(ManifestError, match=r"clip_id '\.\./c'"):
        list(Recipe.open(path).samples())


HEADERS = [(key, value) for key in HEADER.to_json() for value in (None, 5.5, "x", [])] + [
    ("samples", True),
    ("index", {"shards": [1]}),
    ("index", {"shards": "x"}),
    ("index", {"shards": [{"name": TAR}]}),
]


@pytest.mark.parametrize(("key", "value"), HEADERS)
def test_a_header_of_another_shape_is_named(tmp_path, key, value):
    (tmp_path / "r.jsonl").write_text(json.dumps({**HEADER.to_json(), key: value}) + "\n")
    with pytest.raises(ManifestError, match=r"r\.jsonl: "):
        Recipe.open(tmp_path / "r.jsonl")


def damaged(**changes: object) -> str:
    """Return the line of a sample with other values at `a__b` for a.b."""
    line = json.loads(json.dumps(record().to_json()))
    for path, value in changes.items():
        *keys, last = path.split("__")
        place = line
        for key in keys:
            place = place[key]
        place[last] = value
    return json.dumps(line)


LINES = [
    "[" * 100_000,
    *(damaged(**{k: v}) for k in record().to_json() for v in (None, 5.5, [], {}, "../x")
      if (k, v) != ("arrays", {})),
    damaged(shard="train/another.tar"),
    damaged(start_frame=True),
    damaged(facts__video=None),
    damaged(facts__video__size_bytes="1"),
    damaged(facts__video__uri=5),
    damaged(facts__clip__num_frames=7),
    damaged(facts__split=None),
    damaged(facts__offset_applied_frames=None),
    damaged(facts__tier="silent"),
    damaged(matrices=[[float("nan")] * 6] * 6),
    damaged(points={}),
    damaged(members={"mp4": {"sha256": "0"}}),
]  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:40])
def test_a_line_of_another_shape_is_named(tmp_path, line):
    path = tmp_path / "r.jsonl"
    path.write_text(f"{json.dumps(HEADER.to_json())}\n{line}\n")
    with pytest.raises(ManifestError, match=r"r\.jsonl:2: no sample"):
        list(Recipe.open(path).samples())


def test_a_quiet_clip_has_no_offset(tmp_path):
    facts = {**FACTS, **dict.fromkeys(CORRECTIONS), "tier": "listening"}
    write_recipe(tmp_path / "r.jsonl", HEADER, [replace(record(), facts=facts)])
    (read,) = Recipe.open(tmp_path / "r.jsonl").samples()
    assert read.facts == facts


def test_a_sample_is_there_once(tmp_path):
    write_recipe(tmp_path / "r.jsonl", replace(HEADER, samples=2), [record(), record()])
    with pytest.raises(ManifestError, match="c is there twice"):
        list(Recipe.open(tmp_path / "r.jsonl").samples())


def test_landmarks_follow_but_for_the_first_the_interpolated_and_the_one_behind():
    interpolated = np.array([0, 0, 1, 1, 0, 0], np.bool_)
    points = not_following(np.zeros((6, 4, 3), np.float32), interpolated)
    assert sorted(points) == [0, 2, 3, 4]


@pytest.mark.parametrize("crop_px", [256, 512])
def test_a_stored_matrix_gives_back_the_map_onto_the_canvas(crop_px):
    anchors = np.array([[410.2, 220.7], [498.9, 231.3], [450.1, 280.5]])
    canvas = similarity(anchors, crop_px)
    assert np.allclose(to_canvas(to_square(canvas, crop_px), crop_px), canvas, rtol=0, atol=1e-12)


@pytest.mark.parametrize("uri", ["/home/me/a.mp4", "file:///a.mp4", "C:\\films\\a.mp4", "~/a.mp4"])
def test_a_film_named_by_a_path_of_this_machine_is_not_published(uri):
    with pytest.raises(ManifestError, match="is a path of this machine"):
        check_sources([Video(video_id="v", uri=uri, size_bytes=1)])


def test_names_and_urls_of_films_are_published():
    check_sources([Video(video_id="v", uri="anna/a.mp4", url="https://a.b/c", size_bytes=1)])


def test_a_library_of_another_version_is_named_with_both():
    assert other_versions({"x264": "164", "numpy": "2"}, {"x264": "165", "numpy": "2"}) == [
        "x264 is 165 here, the recipe was made with 164"
    ]
