"""What the report, the card and `lipforge status` say of the judge."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.html.drawing import WIDTH
from pipeline.judge.landmark.calibration import CurvePoint
from pipeline.params.curation import Params, SelectParams
from pipeline.report.judge_section import JudgeSection, judge_section
from pipeline.report.reported_clips import reported_clips
from pipeline.report.threshold_cost import threshold_plots
from pipeline.shards.datacard import datacard
from pipeline.tables.funnel import funnel
from pipeline.tables.run_tables import RunTables
from stages.report import build_report
from tests.stages.fake_run import HOSTILE, write_run
from tests.stages.test_report import Page

WHY = "syncnet_v2.model could not be fetched: <no network>"
FELL_BACK = {"fallback": WHY}
SYNCNET = {"judge": "syncnet", "mode": "reference", "probability": None, "confidence": 4.2}


def point(threshold: float, precision: float, recall: float, kept: float, seconds: int = 4):
    return CurvePoint(
        seconds=seconds,
        threshold=threshold,
        precision=precision,
        recall=recall,
        kept_share=kept,
    )


POINTS = [point(0.0, 0.8, 1.0, 1.0), point(0.5, 0.9, 0.75, 0.6), point(1.0, 1.0, 0.25, 0.2)]


def page_of(folder: Path, params: Params | None = None, **score: object) -> Page:
    write_run(folder / "data", clips_each=2, **score)
    path = build_report(
        folder / "data",
        folder / "reports",
        params or Params(),
        lambda key, name: folder / name,
        POINTS,
    )
    return Page(path.read_text(encoding="utf-8"))


def section(folder: Path) -> JudgeSection:
    tables = RunTables(folder / "data")
    return judge_section(tables, reported_clips(tables), SelectParams(), POINTS)


def test_the_curves_go_through_the_measured_points() -> None:
    (drawn,) = threshold_plots(POINTS[::-1], 0.9, 0.9)
    lines = {line.name: line.points for line in drawn.lines}
    assert lines["precision"] == "0.0,24.0 160.0,12.0 320.0,0.0"
    assert lines["recall"] == "0.0,0.0 160.0,30.0 320.0,90.0"
    assert lines["share"] == "0.0,0.0 160.0,48.0 320.0,96.0"


def test_each_length_of_clips_has_its_own_drawing_the_shortest_first() -> None:
    points = [*POINTS, point(0.5, 0.7, 0.5, 0.5, seconds=2), point(0.5, 1, 1, 0.5, seconds=10)]
    assert [one.seconds for one in threshold_plots(points, 0.9, 0.9)] == [2, 4, 10]
    assert threshold_plots(points, 0.9, 0.9)[1] == threshold_plots(POINTS, 0.9, 0.9)[0]
    assert threshold_plots([], 0.9, 0.9) == ()


def test_the_default_is_marked_and_another_limit_beside_it() -> None:
    (same,), (other,) = threshold_plots(POINTS, 0.9, 0.9), threshold_plots(POINTS, 0.9, 0.5)
    assert (same.default.x, same.limit) == (0.9 * WIDTH, None)
    assert other.limit is not None
    assert (other.default.x, other.limit.x, other.limit.label) == (0.9 * WIDTH, 0.5 * WIDTH, "0.5")


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (0.5, "From 0.5 on: precision 0.900, recall 0.750, 60 % of the clips kept"),
        (0.4, "From 0.5 on: precision 0.900, recall 0.750, 60 % of the clips kept"),
        (0.6, "From 1 on: precision 1.000, recall 0.250, 20 % of the clips kept"),
    ],
)
def test_the_words_tell_what_the_threshold_in_force_costs(limit: float, words: str) -> None:
    assert threshold_plots(POINTS, 0.9, limit)[0].summary == words


def test_a_threshold_above_every_measured_one_is_said_to_be_unmeasured() -> None:
    (drawn,) = threshold_plots(POINTS[:2], 0.9, 0.9)
    assert drawn.summary == "No clip was measured at 0.9 or more"


def test_the_page_draws_the_curve_beside_the_probabilities_of_the_run(tmp_path: Path) -> None:
    page = page_of(tmp_path, Params(select=SelectParams(landmark_min_probability=0.5)))
    assert "scored by the judge landmark , mode masked" in page.text
    lines = [a["points"] for tag, a in page.tags if tag == "polyline" and "line" in str(a["class"])]
    assert "0.0,24.0 160.0,12.0 320.0,0.0" in lines
    names = [a["aria-label"] or "" for tag, a in page.tags if tag == "svg"]
    assert any(name.startswith("Histogram of Probability") for name in names)
    assert not any("LSE-C" in name for name in names)
    assert "From 0.5 on: precision 0.900, recall 0.750" in page.text
    assert "another judge" not in page.text.lower()


def test_syncnet_is_shown_by_lse_c_with_its_own_threshold_and_without_the_curve(
    tmp_path: Path,
) -> None:
    page = page_of(tmp_path, **SYNCNET)
    assert "scored by the judge syncnet , mode reference" in page.text
    names = [a["aria-label"] or "" for tag, a in page.tags if tag == "svg"]
    assert any(name.startswith("Histogram of LSE-C") for name in names)
    assert not any("Probability" in name or "Precision" in name for name in names)
    (judge,) = section(tmp_path).judges
    assert judge.trust.measure.limits == (SelectParams().syncnet_min_confidence,)
    assert judge.clips == sum(b.accepted + b.rejected for b in judge.trust.bars)


def test_of_two_judges_in_one_table_each_is_drawn_with_its_own_clips(tmp_path: Path) -> None:
    write_run(tmp_path / "data", clips_each=2)
    tables = RunTables(tmp_path / "data")
    scores = [{**row, **(SYNCNET if i < 5 else {})} for i, row in enumerate(tables.records("sync"))]
    mixed = RunTables(tmp_path / "data", {"sync": scores})
    landmark, syncnet = judge_section(mixed, reported_clips(mixed), SelectParams(), POINTS).judges
    drawn = [sum(b.accepted + b.rejected for b in j.trust.bars) for j in (landmark, syncnet)]
    assert drawn == [7, 5]
    assert [one.measure.column for one in (landmark.trust, syncnet.trust)] == [
        "probability",
        "confidence",
    ]
    assert (len(landmark.curves), len(syncnet.curves)) == (1, 0)


def test_a_fallback_stands_in_the_head_of_the_page_with_its_reason_as_text(tmp_path: Path) -> None:
    page = page_of(tmp_path, **FELL_BACK)
    (note,) = [a for tag, a in page.tags if a.get("class") == "warning"]
    assert note["role"] == "note"
    clips = 2 * len(HOSTILE)
    assert f"{clips} clips scored by the judge landmark and not by the one" in page.text
    assert WHY in page.text
    assert page.text.index(WHY) < page.text.index("Funnel Reasons Judge")


def test_the_card_names_the_judge_and_a_fallback(tmp_path: Path) -> None:
    write_run(tmp_path, clips_each=2, **FELL_BACK)
    (tmp_path / "index.json").write_text('{"splits": {}}')
    card = datacard(RunTables(tmp_path), tmp_path / "index.json", Params())
    assert f"| landmark | masked | {2 * len(HOSTILE)} |" in card
    assert re.search(r"\*\*12 clips scored by the judge landmark and not .*&lt;no network>", card)


@pytest.mark.parametrize(("score", "said"), [(FELL_BACK, True), ({}, False)])
def test_status_says_that_another_judge_was_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: dict[str, str], said: bool
) -> None:
    write_run(tmp_path / "data", clips_each=2, **score)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 0, done.output
    assert ("note: 12 clips scored by the judge landmark" in done.output) == said
    assert (WHY in done.output) == said


def test_the_counts_of_the_judges_say_who_scored_how_many(tmp_path: Path) -> None:
    write_run(tmp_path, clips_each=1)
    assert funnel(RunTables(tmp_path))["judges"] == [
        {"judge": "landmark", "mode": "masked", "fallback": "", "clips": len(HOSTILE)}
    ]
    assert funnel(RunTables(tmp_path), ("ingest",))["judges"] == []
