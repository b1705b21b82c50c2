"""The rules for a sample's JSON."""

import json
from types import SimpleNamespace

import pytest

from pipeline.errors import DecodeError
from pipeline.validation.sample_checks import finite_facts, kinds, offset_fault, schema_fault
from pipeline.validation.set_checks import samples_of
from tests.pipeline.export.made_shards import make_shards

KNOWN = kinds({"a": 1, "b": {"c": 0.5, "d": None}, "e": []})


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"a": 2, "b": {"c": 1.5, "d": "x"}, "e": [1]}, ""),
        ({"a": 2, "b": {"c": 1, "d": None}, "e": []}, "b.c is int, in others float"),
        ({"a": True, "b": {"c": 1.0, "d": None}, "e": []}, "a is bool, in others int"),
        ({"a": 2, "b": {"c": 1.0}, "e": []}, "no field b.d"),
        ({"a": 2, "b": {"c": 1.0, "d": None, "x": 1}, "e": []}, "field b.x, which"),
    ],
)
def test_a_json_of_other_fields_or_types_is_named(facts, fault):
    found = schema_fault(kinds(facts), KNOWN)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


def test_nan_is_no_json():
    with pytest.raises(DecodeError, match="NaN is no JSON"):
        finite_facts(b'{"a": NaN}')


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"null"])
def test_what_is_no_json_object_is_said_to_be_none(content):
    with pytest.raises(DecodeError, match="the JSON"):
        finite_facts(content)


class Judge:
    """Says that sound and lips are together."""

    def score(self, landmarks: object, audio: object) -> SimpleNamespace:
        return SimpleNamespace(offset_subframe=0.0, probability=0.9)


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    tar = make_shards(tmp_path_factory.mktemp("made"), {"val": {"aaaa": 20}}) / "val"
    return next(samples_of(tar / "val-0000-000.tar"))[2]


@pytest.mark.parametrize("rescored", [None, [], 5, "x", {"offset_subframe": "x"}])
def test_a_json_without_a_score_contradicts_no_score(members, rescored):
    facts = {**json.loads(members["json"]), "rescored": rescored}
    assert offset_fault("aaaa", {**members, "json": json.dumps(facts).encode()}, Judge()) == ""


@pytest.mark.parametrize("number", ["20", [], True, 20.0])
def test_a_number_of_frames_that_is_none_is_a_damaged_sample(members, number):
    facts = {**json.loads(members["json"]), "num_frames": number}
    with pytest.raises(DecodeError, match="num_frames of the JSON is"):
        offset_fault("aaaa", {**members, "json": json.dumps(facts).encode()}, Judge())
