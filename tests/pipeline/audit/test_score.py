"""Files of labels in, what they say about the limits out."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.audit.audited_limits import audited_limits
from pipeline.audit.draw import draw
from pipeline.audit.key_file import AuditError, Key, make_key, read_key, write_key
from pipeline.audit.labels import read_labels, verdicts
from pipeline.audit.score import AuditScore, RuleScore, population, score
from pipeline.audit.score_texts import as_json, as_page, as_text
from pipeline.params.curation import SelectParams
from tests.pipeline.audit.synthetic import measured

LIMITS = audited_limits(SelectParams())
CLIPS = [measured(n, face_px=59.0 + n) for n in range(10)]
"""Faces of 59 to 68 px: five are too small for 64."""


@pytest.fixture
def key(tmp_path: Path) -> Key:
    made = make_key(draw(CLIPS, LIMITS, count=50, seed=0), 0, ())
    write_key(tmp_path / "audit.key.json", made)
    assert read_key(tmp_path / "audit.key.json") == made
    return made


def px_of(key: Key) -> dict[float, str]:
    """Return face size -> id on the page."""
    return {one.value: name for name, one in key.rules[0].drawn}


def label_file(path: Path, key: Key, who: str, labels: dict[str, str]) -> Path:
    content: dict[str, Any] = {"format": "lipforge audit labels 1", "draw": key.draw}
    content |= {"labeller": who, "clips": len(labels)}
    content["labels"] = [{"clip": clip, "label": label} for clip, label in labels.items()]
    path.write_text(json.dumps(content))
    return path


def scored(key: Key, *files: Path, clips: Any = CLIPS) -> AuditScore:
    said = verdicts(read_labels(files, key))
    return score(key, said, LIMITS, population(clips, LIMITS))


def face_rule(found: AuditScore) -> RuleScore:
    return next(rule for rule in found.rules if rule.name == "min_face_px")


def labels_by_size(key: Key, bad_below: float) -> dict[str, str]:
    return {name: "bad" if px < bad_below else "good" for px, name in px_of(key).items()}


def test_precision_recall_and_a_better_limit_by_hand(key: Key, tmp_path: Path):
    """Bad: 59, 60, 61 of the five rejected; and 68 by a slip of the hand."""
    labels = labels_by_size(key, 62) | {px_of(key)[68.0]: "bad"}
    rule = face_rule(scored(key, label_file(tmp_path / "a.json", key, "Ann", labels)))
    assert (rule.precision.hits, rule.precision.of) == (3, 5)
    assert rule.precision_alone == rule.precision
    assert (rule.recall.hits, rule.recall.of) == (3, 4)
    assert rule.suggestion is not None
    assert rule.suggestion.limit == 61.5
    assert (rule.suggestion.errors_now, rule.suggestion.errors) == (3, 1)


def test_the_yield_curve_counts_all_clips_and_the_labelled_ones(key: Key, tmp_path: Path):
    labels = labels_by_size(key, 62)
    rule = face_rule(scored(key, label_file(tmp_path / "a.json", key, "Ann", labels)))
    by_limit = {point.limit: point for point in rule.curve}
    assert (by_limit[64.0].kept.hits, by_limit[64.0].kept.of) == (5, 10)
    assert (by_limit[60.0].kept.hits, by_limit[60.0].good.hits, by_limit[60.0].good.of) == (9, 7, 9)


def test_two_people_are_compared_and_joined_by_majority(key: Key, tmp_path: Path):
    first, second = labels_by_size(key, 64), labels_by_size(key, 62)
    files = [
        label_file(tmp_path / "a.json", key, "Ann", first),
        label_file(tmp_path / "b.json", key, "Ben", second),
    ]
    found = scored(key, *files)
    (pair,) = found.verdicts.pairs
    # of 10 clips they differ on 2; chance 0.5 * 0.3 + 0.5 * 0.7 = 0.5
    assert (pair.agreement.clips, pair.agreement.observed) == (10, 0.8)
    assert pair.agreement.kappa == pytest.approx(0.6)
    assert found.verdicts.split == 2
    rule = face_rule(found)
    assert (rule.precision.hits, rule.precision.of, rule.cannot_tell) == (3, 3, 2)
    assert "Cohen's kappa 0.60" in as_text(found)


def test_one_persons_contradictory_files_are_named_and_do_not_count(key: Key, tmp_path: Path):
    clip = px_of(key)[59.0]
    files = [
        label_file(tmp_path / "a.json", key, "Ann", {clip: "bad"}),
        label_file(tmp_path / "again.json", key, "Ann", {clip: "good"}),
    ]
    found = scored(key, *files)
    assert found.verdicts.contradictory == (f"Ann: {clip}",)
    assert face_rule(found).precision.of == 0
    assert f"Ann: {clip}" in as_text(found)


def test_clips_that_left_the_tables_are_named(key: Key, tmp_path: Path):
    labels = labels_by_size(key, 64)
    found = scored(key, label_file(tmp_path / "a.json", key, "Ann", labels), clips=CLIPS[1:])
    assert found.gone == (px_of(key)[59.0],)
    assert face_rule(found).precision.of == 4
    assert "not in the tables any more" in as_text(found)


def test_a_rule_that_rejects_nothing_says_so(key: Key, tmp_path: Path):
    found = scored(key, label_file(tmp_path / "a.json", key, "Ann", labels_by_size(key, 64)))
    luma = next(rule for rule in found.rules if rule.name == "max_luma")
    assert luma.precision.value is None
    assert "rejects nothing in these tables" in luma.remarks[0]
    assert "rejects nothing" in as_text(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draw": "another"}, "labels of another page"),
        ({"labeller": " "}, "no labeller"),
        ({"labels": [{"clip": "x", "label": "fine"}]}, "unknown label 'fine'"),
        ({"labels": [{"clip": "x"}]}, "damaged"),
        ({"format": "lipforge audit key 1"}, "not a file of labels"),
    ],
)
def test_a_file_that_is_none_names_itself_and_the_fault(key, tmp_path, change, message):
    path = label_file(tmp_path / "a.json", key, "Ann", {})
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(AuditError, match=message) as caught:
        read_labels([path], key)
    assert str(path) in str(caught.value)


def test_a_missing_key_says_what_writes_it(tmp_path: Path):
    with pytest.raises(AuditError, match="lipforge audit page"):
        read_key(tmp_path / "audit.key.json")


def test_names_of_labellers_are_text_on_the_page_and_in_the_terminal(key: Key, tmp_path: Path):
    who = "<b>Ann\x1b[31m</b>"
    found = scored(key, label_file(tmp_path / "a.json", key, who, labels_by_size(key, 62)))
    assert "<b>" not in as_page(found)
    assert "\x1b" not in as_text(found)
    assert json.loads(json.dumps(as_json(found)))["verdicts"]["labellers"] == {who: 10}


@pytest.mark.parametrize("change", [{"limit": 99.0}, {"rejected": "many"}, {"drawn": []}])
def test_a_key_that_was_edited_is_refused(key: Key, tmp_path: Path, change: dict[str, Any]):
    path = tmp_path / "audit.key.json"
    content = json.loads(path.read_text())
    content["rules"][0].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(AuditError, match=r"audit\.key\.json: was changed since"):
        read_key(path)


def test_a_file_saved_by_an_editor_that_marks_utf8_is_read(key: Key, tmp_path: Path):
    path = label_file(tmp_path / "l.json", key, "Zoë", {})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_labels([path], key)[0].labeller == "Zoë"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_nested_without_end_is_no_file_of_labels(key: Key, tmp_path: Path, text: str):
    (tmp_path / "l.json").write_text(text)
    with pytest.raises(AuditError, match=r"l\.json: no JSON"):
        read_labels([tmp_path / "l.json"], key)
