"""Splits by person: nobody is on two sides, whatever ties clips together."""

from dataclasses import replace

import pytest

from pipeline.identity.persons import SeenClip
from pipeline.params.curation import SelectParams
from pipeline.selection.people import divide, groups
from pipeline.selection.rules import decision_of, split_of
from tests.pipeline.selection.test_rules import candidate

PARAMS = SelectParams(val_share=0.3, test_share=0.3)


def kept(name: str, video: str, speaker: str = ""):
    return decision_of(candidate(name, video=video, speaker=speaker))


def seen(name: str, number: int) -> SeenClip:
    return SeenClip.of(name, [float(n == number) for n in range(128)], [])


def test_a_person_in_two_films_ties_them_and_a_film_its_people():
    judged = [kept("a", "v1"), kept("b", "v2"), kept("c", "v2"), kept("d", "v3"), kept("e", "v4")]
    persons = {"a": "p", "b": "p", "c": "q", "d": "q", "e": "r"}
    found = groups(judged, persons)
    assert found["a"] == found["b"] == found["c"] == found["d"] == "person:p"
    assert found["e"] == "source:v4"


def test_a_speaker_keeps_the_name_that_the_list_gave():
    judged = [kept("a", "v1", "ann"), kept("b", "v2", "ann"), kept("c", "v3"), kept("d", "v4")]
    found = groups(judged, {"a": "p", "b": "x", "c": "p", "d": "y"})
    assert found == dict.fromkeys("abc", "speaker:ann") | {"d": "source:v4"}


def test_films_of_many_people_are_divided_by_person():
    judged = [kept(f"{n:02}", f"v{n}") for n in range(60)]
    people = divide(judged, [seen(f"{n:02}", n // 2) for n in range(60)], PARAMS)
    assert (people.persons, people.split_by, people.shared) == (30, "person", 0)
    sides = {one.clip_id: split_of(one.group, PARAMS) for one in judged}
    assert all(sides[f"{n:02}"] == sides[f"{n + 1:02}"] for n in range(0, 60, 2))
    assert people.nearest.face_distance == pytest.approx(2**0.5, abs=1e-4)


def test_too_few_people_are_divided_by_source_and_counted():
    judged = [kept(f"{n:02}", f"v{n}") for n in range(60)]
    people = divide(judged, [seen(f"{n:02}", n % 2) for n in range(60)], PARAMS)
    assert (people.persons, people.split_by, people.shared) == (2, "source", 2)
    assert people.nearest.face_distance == 0.0
    assert {one.group for one in judged} == {f"source:v{n}" for n in range(60)}


def test_by_person_is_kept_to_where_it_is_asked_for():
    judged = [kept(f"{n:02}", f"v{n}") for n in range(60)]
    params = PARAMS.model_copy(update={"split_by": "person"})
    people = divide(judged, [seen(f"{n:02}", n % 2) for n in range(60)], params)
    assert people.shared == 0
    assert len({one.group for one in judged}) == 2


def test_rejected_clips_tie_nobody():
    judged = [kept("a", "v1"), replace(kept("b", "v2"), reason="blurred"), kept("c", "v3")]
    between = SeenClip.of("b", [0.2, *[0.0] * 127], [])
    ends = [SeenClip.of("a", [0.0] * 128, []), SeenClip.of("c", [0.4, *[0.0] * 127], [])]
    people = divide(judged, [*ends, between], PARAMS)
    assert people.persons == 2
    assert judged[1].person == ""
