"""What other films' rows and files say of a film that is gone."""

from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engine.manifest import read_table, write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.identity.persons import SeenClip
from pipeline.params.curation import SelectParams
from pipeline.selection.people import divide
from pipeline.selection.rules import decision_of
from pipeline.tables.people_facts import read_people, write_people
from pipeline.tables.rows import Quality, Selected
from pipeline.tables.run_tables import table_path
from pipeline.takedown import work
from pipeline.takedown.people_left import recount_people
from pipeline.takedown.rewriting import rewrite_table
from pipeline.takedown.target import Target
from pipeline.takedown.traces import Traces
from tests.pipeline.selection.test_rules import candidate

GONE, OTHER = "0123456789abcdef0123", "fedcba9876543210fedc"


def test_a_reason_of_another_row_names_the_clip_no_more(tmp_path):
    rows = [
        {"item_id": "a", "part": 0, "clip_id": "a", "detail": f"of {GONE}, {OTHER}"},
        {"item_id": "b", "part": 0, "clip_id": "b", "detail": None},
        {"item_id": "c", "part": 0, "clip_id": GONE, "detail": ""},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    target = Target(clip_ids=frozenset({GONE}))
    assert rewrite_table(tmp_path / "t.parquet", target) == 1
    assert [row["detail"] for row in read_table(tmp_path / "t.parquet")] == [
        f"of (taken down), {OTHER}",
        None,
    ]
    assert not Traces.of(target, frozenset()).in_file(tmp_path / "t.parquet")


def test_no_persons_name_is_that_of_a_clip():
    judged = [decision_of(candidate(name, video=name)) for name in (GONE, OTHER, "f" * 20)]
    divide(judged, [SeenClip.of(one.clip_id, [0.0] * 128, []) for one in judged], SelectParams())
    assert len({one.person for one in judged}) == 1
    gone = Traces.of(Target(clip_ids=frozenset({GONE})), frozenset())
    assert not any(gone.in_bytes(f"{one.person} {one.group}".encode()) for one in judged[1:])


def selected(clip: str, person: str, split: str) -> Outcome:
    row = Selected(
        clip_id=clip, source_clip_id=clip, video_id=clip, split=split, group=f"source:{clip}",
        person=person, start_frame=0, end_frame=9, offset_frames=0.0, drift_frames=0.0,
        probability=1.0,
    )  # fmt: skip
    return Outcome(clip, "kept", (Part("kept", row=asdict(row)),))


def measured(clip: str, place: float) -> Outcome:
    quality = candidate(clip).quality
    face = [place, *[0.0] * 127]
    row = asdict(replace(quality, clip_id=clip, face_embedding=face, voice_embedding=[]))
    return Outcome(clip, "kept", (Part("kept", row=row),))


def test_people_are_counted_again_and_the_closest_pair_is_of_those_that_are_left(tmp_path):
    places = {"a": 0.0, "b": 0.5, "c": 0.6}
    write_table(
        table_path(tmp_path, "select"),
        [selected("a", "p", "train"), selected("b", "q", "test"), selected("c", "p", "val")],
        Selected,
    )
    quality = [measured(clip, place) for clip, place in places.items()]
    write_table(table_path(tmp_path, "quality"), quality, Quality)
    recount_people(tmp_path)
    assert read_people(tmp_path) is None, "nothing to count again"
    judged = [decision_of(candidate("a"))]
    write_people(tmp_path, divide(judged, [], SelectParams(split_by="source")))
    recount_people(tmp_path)
    people = read_people(tmp_path)
    assert (people.persons, people.shared, people.clips_without) == (2, 1, 0)
    assert (people.nearest.one, people.nearest.two) == ("a", "b")
    assert (people.split_by, people.tolerance) == ("source", 0.35)


@pytest.mark.parametrize("below", ["features", "features/av_hubert", "features/latents"])
def test_arrays_of_every_kind_beside_the_shards_are_found(workspace, below):
    Path("data", below).mkdir(parents=True)
    Path("data", below, "clips.parquet").touch()
    assert work.array_folders() == [below]
