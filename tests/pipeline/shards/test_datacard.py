import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.params.curation import CardParams, Params, ShardsParams
from pipeline.shards.card_facts import card_facts
from pipeline.shards.datacard import cell, datacard
from pipeline.shards.labels import LABELS
from pipeline.tables.rows import Video
from pipeline.tables.run_tables import RunTables, table_path
from tests.pipeline.selection.test_rules import candidate
from tests.stages import fake_run
from tests.stages.fake_run import write_run


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a|b", "new\nline", "`code`", "[x](javascript:y)"]
)
def test_a_hostile_name_is_text_in_a_table_cell(name):
    shown = cell(name)
    assert not any(mark in shown for mark in "<|\n`")
    assert "](" not in shown.replace("\\](", "")


def test_the_card_counts_the_inputs_and_names_the_licences(tmp_path):
    from dataclasses import asdict

    row = asdict(candidate().video) | {"licence": "CC0-1.0"}
    outcomes = [
        Outcome("a.mp4", "kept", (Part("kept", row=row),)),
        Outcome("b.mp4", "failed", (Part("failed", "empty_file", "no bytes"),)),
    ]
    write_table(table_path(tmp_path, "ingest"), outcomes, Video)
    index = {"splits": {"train": {"shards": 1, "samples": 2, "seconds": 9.0, "bytes": 7}}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    card = datacard(RunTables(tmp_path), tmp_path / "index.json", Params())
    assert "What became of 2 inputs" in card
    assert "| ingest | 2 | 1 | 0 | 1 | 0 | 1 | empty\\_file 1; " in card
    assert "| CC0-1.0 | 1 |" in card
    assert "| train | 1 | 2 | 9.0 | 7 |" in card


def whole_card(data: Path, **card: str) -> str:
    write_run(data)
    total = {"shards": 1, "samples": 11, "seconds": 43.56, "bytes": 7}
    (data / "index.json").write_text(json.dumps({"splits": {"train": total}}))
    params = Params(shards=ShardsParams(card=CardParams(**card)))
    return datacard(RunTables(data), data / "index.json", params)


def header(card: str) -> dict[str, object]:
    found = yaml.safe_load(card.split("---")[1])
    assert isinstance(found, dict)
    return found


def test_the_same_run_gives_the_same_card(tmp_path):
    assert whole_card(tmp_path / "one") == whole_card(tmp_path / "two")


def test_distributions_are_those_of_the_packed_samples(tmp_path):
    write_run(tmp_path)
    facts = card_facts(RunTables(tmp_path))
    spreads = {one.name: one.values for one in facts.spreads}
    assert spreads["duration"] == ("4.0",) * 5
    assert facts.durations[1:3] == [("3 to 4 s", 11), ("4 to 5 s", 0)]
    assert sum(count for _, count in facts.durations) == 11
    assert dict(facts.offsets)["0.5 to 1.5 frames"] == 11
    assert sum(one.samples for one in facts.splits) == 11
    (faces,) = [values for name, values in spreads.items() if name.startswith("face size")]
    assert (faces[0], faces[-1]) == ("60", "100")
    assert 0 < facts.largest_source < 1
    assert whole_card(tmp_path).count("| duration | s | 4.0 | 4.0 | 4.0 | 4.0 | 4.0 |") == 1


def test_languages_and_transcripts_are_counted_only_where_a_recognizer_was_asked(
    tmp_path, monkeypatch
):
    assert "what is said was not transcribed" in whole_card(tmp_path / "silent")
    plain = fake_run.quality
    told = {"language": "de", "language_probability": 0.9, "transcript": "ja"}
    monkeypatch.setattr(fake_run, "quality", lambda one, rng: replace(plain(one, rng), **told))
    card = whole_card(tmp_path / "told")
    assert "| de | 11 | 43.6 |" in card
    assert "what is said was written down by a recognizer" in card


def test_what_the_publisher_did_not_say_is_said_to_be_missing(tmp_path):
    card = whole_card(tmp_path)
    assert "**not stated by the publisher** (`shards.card.licence`)" in card
    assert "**not stated by the publisher** (`shards.card.contact`)" in card
    assert header(card)["license"] == "unknown"


def test_what_the_publisher_says_is_text_and_stands_in_the_header(tmp_path):
    title = 'A "set" | of <b>faces</b>: yes'
    card = whole_card(tmp_path, title=title, licence="CC-BY-4.0", contact="data@example.org")
    assert (header(card)["pretty_name"], header(card)["license"]) == (title, "CC-BY-4.0")
    assert "not stated by the publisher" not in card
    assert "| whom to ask to be taken out | data@example.org |" in card
    assert "<b>" not in card.split("---", 2)[2]


def test_every_label_and_every_threshold_stands_on_the_card(tmp_path):
    card = whole_card(tmp_path)
    thresholds = set(Params().select.model_dump()) - {"hq"}
    assert all(f"| `{name}` |" in card for name in {*LABELS, *thresholds})
