"""The stage as a command's function: tables in, table, metrics and plots out."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.manifest import read_table, write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.selection.rules import Candidate
from pipeline.tables.people_facts import People
from pipeline.tables.rows import Clip, Quality, Scene, SyncScore, SyncStretch, Video
from pipeline.tables.run_tables import table_path
from stages.select import select, split_warnings
from tests.pipeline.selection.test_rules import PARAMS, candidate

SPEAKER = candidate("a", track=0, probability=0.97)
LISTENER = candidate("b", track=1, probability=0.3, mouth_movement=0.0)
DRIFTING = candidate("c", track=2, start_frame=200, end_frame=300, drift_frames=3.5)
SYNCNET = {"judge": "syncnet", "probability": None, "drift_frames": None}


def write_tables(data: Path, found: list[Candidate]) -> None:
    video = found[0].video
    scene = Scene(video_id="v", scene=0, start_frame=0, end_frame=300)
    clips = [one.clip for one in found]
    tables: list[tuple[str, type[Any], dict[str, list[Any]]]] = [
        ("ingest", Video, {video.uri: [video]}),
        ("scenes", Scene, {"v": [scene]}),
        ("faces", Clip, {"v": clips}),
        ("sync", SyncScore, {one.clip.clip_id: [one.sync] for one in found}),
        ("stretches", SyncStretch, {"v": [one for o in found for one in o.stretches]}),
        ("quality", Quality, {o.clip.clip_id: [_quality(o)] for o in found}),
    ]
    for stage, row_type, items in tables:
        outcomes = [
            Outcome(name, "kept", tuple(Part("kept", row=asdict(row)) for row in rows))
            for name, rows in items.items()
        ]
        write_table(table_path(data, stage), outcomes, row_type)


def _quality(one: Candidate) -> Quality:
    assert one.quality is not None
    return replace(one.quality, clip_id=one.clip.clip_id)


def bins(path: Path) -> list[tuple[float, int, int]]:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [(float(r["bin"]), int(r["accepted"]), int(r["rejected"])) for r in rows]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_tables(tmp_path / "data", [SPEAKER, LISTENER, DRIFTING])
    select(tmp_path / "data", tmp_path / "reports", PARAMS)
    return tmp_path


def test_the_table_says_who_speaks_and_what_drifts(run: Path) -> None:
    rows = read_table(table_path(run / "data", "select"))
    assert [(row["clip_id"], row["status"], row["reason"]) for row in rows] == [
        ("a", "kept", ""),
        ("b", "rejected", "not_speaking"),
        ("c", "rejected", "drift"),
    ]
    assert rows[1]["detail"].endswith("0.97 (confidence 0.5) of a")
    assert rows[2]["detail"] == "+3.5 (max 2)"


def test_the_funnel_counts_the_reasons_and_names_the_judge(run: Path) -> None:
    content = json.loads((run / "reports" / "funnel.json").read_text())
    assert content["stages"][-1]["reasons"]["rejected"] == {"drift": 1, "not_speaking": 1}
    assert [(one["judge"], one["clips"]) for one in content["judges"]] == [("landmark", 3)]


def test_the_landmark_judge_is_plotted_by_its_probability(run: Path) -> None:
    plotted = bins(run / "reports" / "probability_histogram.csv")
    assert plotted == [(0.3, 0, 1), (0.96, 1, 1)]
    assert bins(run / "reports" / "lse_c_histogram.csv") == []


def test_the_syncnet_judge_is_plotted_by_lse_c(tmp_path: Path) -> None:
    found = [
        candidate("a", confidence=5.0, **SYNCNET),
        candidate("b", confidence=1.1, face_px=20.0, **SYNCNET),
    ]
    write_tables(tmp_path / "data", found)
    select(tmp_path / "data", tmp_path / "reports", PARAMS)
    assert bins(tmp_path / "reports" / "lse_c_histogram.csv") == [(1.0, 0, 1), (5.0, 1, 0)]
    assert bins(tmp_path / "reports" / "probability_histogram.csv") == []


@pytest.mark.parametrize(("params", "groups", "said"), [
    (PARAMS, ["a"], ["of one source or speaker"]),
    (PARAMS.model_copy(update={"val_share": 0.5, "test_share": 0.5}), list("abcdefgh"), []),
    (PARAMS.model_copy(update={"val_share": 1e-9, "test_share": 0.0}), list("abc"), ["`val`"]),
    (PARAMS, [], []),
], ids=["one", "enough", "an empty split", "none"])  # fmt: skip
def test_splits_that_prove_nothing_are_said(params, groups, said):
    judged = [replace(SPEAKER, video=replace(SPEAKER.video, speaker=group)) for group in groups]
    people = People(persons=len(groups), clips_without=0, tolerance=0.35, split_by="source",
                    shared=0, nearest=None)  # fmt: skip
    found = split_warnings([*judged, replace(LISTENER, reason="still")], people, params)
    assert len(found) == len(said)
    assert all(part in warning for part, warning in zip(said, found, strict=True))


def test_data_of_one_source_is_said_on_stderr_and_in_the_funnel(tmp_path, capsys):
    write_tables(tmp_path / "data", [SPEAKER, LISTENER])
    select(tmp_path / "data", tmp_path / "reports", PARAMS)
    (warning,) = json.loads((tmp_path / "reports" / "funnel.json").read_text())["warnings"]
    assert "no split is honest" in warning
    assert warning in capsys.readouterr().err
