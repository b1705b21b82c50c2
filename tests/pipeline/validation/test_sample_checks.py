"""The rules for a sample's JSON."""

import pytest

from pipeline.errors import DecodeError
from pipeline.validation.sample_checks import finite_facts, kinds, schema_fault

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
