"""The version of index.json, and lists of what readers leave out."""

import json

import fsspec
import pytest

from pipeline.errors import ManifestError
from pipeline.shard_index.exclusion import Exclusion, exclusion_beside
from pipeline.shard_index.index_file import FORMAT_VERSION, migrated, parsed_index, read_index

FORMER = {"fps": 25, "sample_rate_hz": 16000, "shards": [], "splits": {}}


def test_an_index_without_a_version_is_read_and_becomes_one_of_today():
    read = parsed_index(json.dumps(FORMER), "index.json")
    assert read == FORMER
    assert migrated(read) == {**FORMER, "format_version": FORMAT_VERSION}
    assert migrated(migrated(read)) == migrated(read)


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, "2", None, 0])
def test_an_index_of_another_version_is_refused_with_the_versions_that_are_read(version):
    text = json.dumps({**FORMER, "format_version": version})
    with pytest.raises(ManifestError, match=f"reads 1 to {FORMAT_VERSION}; "):
        parsed_index(text, "index.json")


def test_a_folder_without_an_index_is_no_set_of_shards(tmp_path):
    with pytest.raises(ManifestError, match=r"index\.json: absent or not"):
        read_index(str(tmp_path))


def test_the_lists_beside_the_tars_and_above_them_are_joined(tmp_path):
    (tmp_path / "train").mkdir()
    for folder, one in ((tmp_path, Exclusion(frozenset("a"))), (tmp_path / "train", Exclusion())):
        (folder / "exclude.json").write_text(json.dumps(one.to_json()))
    (tmp_path / "train/exclude.json").write_text(
        json.dumps(Exclusion(sources=frozenset(["f"])).to_json())
    )
    found = exclusion_beside([f"{tmp_path}/train/one.tar"])
    assert found == Exclusion(frozenset("a"), frozenset("f"))
    assert found.has("a", {})
    assert found.has("b", {"video": {"video_id": "f"}})
    assert not found.has("b", {"video": {"video_id": "g"}})


def test_the_list_is_found_from_inside_of_the_folder_too(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    (tmp_path / "exclude.json").write_text(json.dumps(Exclusion(frozenset("a")).to_json()))
    for folder, name in ((tmp_path, "train/one.tar"), (tmp_path / "train", "one.tar")):
        monkeypatch.chdir(folder)
        assert exclusion_beside([name]).samples == {"a"}


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_the_list_beside_the_shards_holds_for_the_quiet_clips_below_them(tmp_path, scheme):
    content = json.dumps(Exclusion(frozenset("a")).to_json())
    if scheme:
        fsspec.filesystem("memory").pipe_file("/set/shards/exclude.json", content.encode())
        shards = "memory://set/shards"
    else:
        (tmp_path / "exclude.json").write_text(content)
        shards = str(tmp_path)
    assert exclusion_beside([f"{shards}/quiet/train/one.tar"]).samples == {"a"}
    assert exclusion_beside([f"{shards}/loud/train/one.tar"]).samples == set()


def test_a_damaged_list_stops_the_reader(tmp_path):
    (tmp_path / "exclude.json").write_text('{"version": 1}')
    with pytest.raises(ManifestError, match=r"exclude\.json: no list of exclusions"):
        exclusion_beside([f"{tmp_path}/one.tar"])
