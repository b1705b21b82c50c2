"""Which films a name means, and where a trace of them is recognised."""

import hashlib
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ParamsError, SourceError
from pipeline.takedown.target import Target, find_target
from pipeline.takedown.traces import Traces
from pipeline.taken_down import LIST, note_taken_down, taken_down

ANNA, GRACE = ("a" * 64, "b" * 64)
CLIP = "0123456789abcdef0123"


@pytest.fixture
def data(tmp_path):
    tables = {
        "ingest/videos": [
            {"item_id": "x.mp4", "video_id": ANNA, "uri": "x.mp4", "url": "u", "speaker": "Anna"},
            {"item_id": "y.mp4", "video_id": GRACE, "uri": "y.mp4", "url": "", "speaker": ""},
        ],
        "faces/clips": [
            {"item_id": ANNA, "video_id": ANNA, "clip_id": CLIP, "person": "p1", "artifact": "k1"},
            {"item_id": GRACE, "video_id": GRACE, "clip_id": "g", "person": "p2", "artifact": "k2"},
        ],
        "sync/sync": [
            {"item_id": CLIP, "clip_id": CLIP, "cache_key": "k3"},
            {"item_id": "g", "clip_id": "g", "cache_key": "k4"},
        ],
        "shards/samples": [
            {"item_id": CLIP, "clip_id": CLIP, "video_id": ANNA, "shard": "t.tar"},
        ],
    }
    for name, rows in tables.items():
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
    return tmp_path


@pytest.mark.parametrize("name", ["x.mp4", "u", "Anna", "p1", ANNA, ANNA[:12]])
def test_a_film_is_meant_by_any_of_its_names_or_a_person_in_it(data, name):
    found = find_target(name, data)
    assert found == Target(
        video_ids=frozenset({ANNA}),
        uris=frozenset({"x.mp4"}),
        clip_ids=frozenset({CLIP}),
        keys=frozenset({"k1", "k3"}),
        samples=frozenset({CLIP}),
        shards=frozenset({"t.tar"}),
    )


@pytest.mark.parametrize("name", ["", "x", "aaaa", "p"])
def test_a_part_of_a_name_means_nothing(data, name):
    with pytest.raises(SourceError, match="no film has this"):
        find_target(name, data)


def test_traces_are_found_in_text_tables_tars_and_files(tmp_path):
    made = b"a file that was made of the film"
    target = Target(video_ids=frozenset({ANNA}), clip_ids=frozenset({CLIP}))
    traces = Traces.of(target, frozenset({hashlib.sha256(made).hexdigest()}))
    (tmp_path / "made").write_bytes(made)
    (tmp_path / "card").write_text(f"| x.mp4 | {ANNA[:12]} |")
    (tmp_path / "far").write_bytes(b"z" * (2**22 - 7) + CLIP.encode())
    with tarfile.open(tmp_path / "tar", "w") as tar:
        tar.add(tmp_path / "made", "innocent")
    pq.write_table(pa.table({"id": [None, CLIP]}), tmp_path / "table", compression="zstd")
    for name in ("made", "card", "far", "tar", "table"):
        assert traces.in_file(tmp_path / name), name
    (tmp_path / "other").write_text(f"{GRACE} {CLIP[:11]}")
    pq.write_table(pa.table({"id": [GRACE]}), tmp_path / "others", compression="zstd")
    assert not traces.in_file(tmp_path / "other")
    assert not traces.in_file(tmp_path / "others")


def test_a_second_takedown_keeps_what_was_noted_of_the_first(workspace):
    assert taken_down() == {}
    note_taken_down([ANNA], {"reason": "asked"})
    note_taken_down([ANNA, GRACE], {})
    assert taken_down() == {ANNA: {"reason": "asked"}, GRACE: {}}
    LIST.write_text("[]")
    with pytest.raises(ParamsError, match=r"takedowns\.json: no list of takedowns"):
        taken_down()


def test_where_no_row_names_a_person_that_is_said(data):
    with pytest.raises(SourceError) as named:
        find_target("nobody", data)
    assert "no persons are labelled" not in str(named.value)
    rows = [{"item_id": ANNA, "video_id": ANNA, "clip_id": CLIP, "person": "", "artifact": "k1"}]
    pq.write_table(pa.Table.from_pylist(rows), data / "faces/clips.parquet")
    with pytest.raises(SourceError, match="no persons are labelled"):
        find_target("nobody", data)
