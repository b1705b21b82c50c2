"""The rules for a sample's JSON and its labels."""

import io
import json
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.shards.labels import LABELS
from pipeline.validation.sample_checks import (
    arrays_fault,
    finite_facts,
    kinds,
    offset_fault,
    schema_fault,
)
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


TALKS = {"num_frames": 30, "tier": "base", "clip": {}}
Arrays = dict[str, np.ndarray]


def npz(change: Callable[[Arrays], object] = lambda arrays: None) -> bytes:
    arrays: Arrays = {
        "landmarks": np.zeros((30, 468, 3), np.float32),
        "matrices": np.tile(np.eye(2, 3), (30, 1, 1)),
        "scores": np.ones(30, np.float32),
        "boxes": np.tile(np.array([0, 0, 9, 9], np.float32), (30, 1)),
        "interpolated": np.zeros(30, bool),
        **{name: np.full(30, 0.5, np.float32) for name in LABELS},
    }
    change(arrays)
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def test_whole_labels_and_those_of_older_shards_are_right():
    assert arrays_fault(npz(), TALKS) == ""
    assert arrays_fault(npz(lambda a: [a.pop(name) for name in LABELS]), TALKS) == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda a: a.pop("cover"), "no label cover, but change"),
        (lambda a: a.update(sync=np.full(30, 1.5, np.float32)), "sync from 1.5 to 1.5"),
        (lambda a: a.update(change=np.full(30, -1, np.float32)), "change from -1 to -1"),
        (lambda a: a.update(cover=np.ones(30)), "cover is float64, it must be float32"),
        (lambda a: a["sync"].fill(np.nan), "sync has a value that is no number"),
    ],
)
def test_a_label_that_is_missing_or_impossible_is_named(change, fault):
    assert arrays_fault(npz(change), TALKS).startswith(fault)


def test_the_sync_of_a_quiet_clip_is_no_number_and_must_be_none():
    quiet = {**TALKS, "tier": "silent"}
    assert arrays_fault(npz(lambda a: a["sync"].fill(np.nan)), quiet) == ""
    assert arrays_fault(npz(), quiet) == "sync has a value that is a number"
