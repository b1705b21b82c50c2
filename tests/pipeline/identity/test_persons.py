"""Which clips show one person, and which pair of two sides is closest."""

import random

import numpy as np
import pytest

from pipeline.identity import persons
from pipeline.identity.persons import ComparedFaces, SeenClip


def seen(name: str, place: float, voice: int | None = None) -> SeenClip:
    """A clip whose face lies on a line, at `place`; voice: which of some orthogonal ones."""
    face = [place, *[0.0] * 127]
    heard = [] if voice is None else [float(n == voice) for n in range(256)]
    return SeenClip.of(name, face, heard)


def test_a_chain_of_close_faces_is_one_person():
    clips = [seen("a", 0.0), seen("b", 0.3), seen("c", 0.6), seen("d", 1.0)]
    random.Random(0).shuffle(clips)
    assert ComparedFaces(clips).persons(0.35) == {"a": "a", "b": "a", "c": "a", "d": "d"}


@pytest.mark.parametrize(("voices", "same"), [((1, 1), True), ((1, 2), False), ((1, None), False)])
def test_faces_a_little_farther_apart_need_the_same_voice(voices, same):
    clips = [seen("a", 0.0, voices[0]), seen("b", 0.42, voices[1])]
    assert (ComparedFaces(clips).persons(0.35)["b"] == "a") == same


def test_the_same_voice_alone_is_not_enough():
    assert ComparedFaces([seen("a", 0.0, 1), seen("b", 0.9, 1)]).persons(0.35)["b"] == "b"


def test_persons_do_not_depend_on_the_size_of_blocks(monkeypatch):
    rng = np.random.default_rng(3)
    clips = [SeenClip.of(f"{n:03}", rng.normal(size=128) * 0.05, []) for n in range(60)]
    whole = ComparedFaces(clips).persons(0.75)
    assert 1 < len(set(whole.values())) < 60
    monkeypatch.setattr(persons, "BLOCK", 7)
    assert ComparedFaces(clips).persons(0.75) == whole


def test_the_nearest_pair_is_of_two_sides():
    clips = [seen("a", 0.0, 1), seen("b", 0.1, 1), seen("c", 0.5, 2), seen("d", 0.52)]
    sides = {"a": "train", "b": "train", "c": "held out"}
    found = ComparedFaces(clips).nearest(sides)
    assert (found.one, found.two, found.face_distance, found.voice_cosine) == ("b", "c", 0.4, 0.0)
    assert ComparedFaces(clips).nearest({"a": "train", "b": "train"}) is None


def test_a_clip_without_a_face_is_nobody():
    clips = [SeenClip.of("a", [], []), seen("b", 0.0)]
    assert ComparedFaces(clips).persons(0.35) == {"b": "b"}
    assert ComparedFaces([]).persons(0.35) == {}
    assert ComparedFaces([]).nearest({}) is None
